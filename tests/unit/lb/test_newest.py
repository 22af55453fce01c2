"""Why a member is down is told as it is now; the store has why it turned."""

import time
from dataclasses import replace

from lb import newest
from lb.cable import Cable
from lb.probes import Probes
from sdd.model import health, ids, service
from sdd.state import ClusterState, Gone, MemberKey, Put
from tests.unit.lb import states
from tests.unit.lb.test_probes import run
from tests.unit.lb.watched import HASTY, TOWN, World

KEY = (ids.ServiceId("web"), ids.EndpointId("web1-front"))
DOWN = states.verdict("web", "web1", "front", health.Status.DOWN)
STATE = states.state(*TOWN, replace(DOWN, reason="its link is down or gone", since=7.0))
REFUSED = health.Said(health.Status.DOWN, "connection refused")


def reason(state: ClusterState) -> str:
    return state.verdicts[KEY].reason


def test_the_newest_reason_is_told_for_the_same_verdict_and_since() -> None:
    told = newest.told(STATE, {KEY: REFUSED})
    assert told.verdicts[KEY] == replace(STATE.verdicts[KEY], reason="connection refused")
    assert told.revision == STATE.revision
    assert reason(STATE) == "its link is down or gone"


def test_it_is_not_told_of_a_verdict_that_says_something_else_meanwhile() -> None:
    up = STATE.apply(ids.Revision(2), [Put(replace(DOWN, status=health.Status.UP, reason="yes"))])
    half = STATE.apply(ids.Revision(2), [Put(replace(DOWN, failing=(6,), reason="yes"))])
    gone: MemberKey = (KEY[0], ids.EndpointId("gone"))
    for state in (up, half):
        assert newest.told(state, {KEY: REFUSED, gone: REFUSED}) is state


class Told:
    """What people read while a member is checked."""

    def __init__(self, world: World, state: ClusterState) -> None:
        self.world, self.state = world, state
        self.probes = Probes(
            *(world.record, states.NODE, time.monotonic, lambda: 0.5), dial=world.dial
        )

    def reason(self) -> str:
        return reason(newest.told(self.state, self.probes.newer()))


async def test_what_a_member_that_stays_down_fails_by_now_is_told_and_not_written() -> None:
    world = World()
    world.healthy = False
    one = Told(world, STATE)
    async with run(one.probes, STATE):
        await world.until(lambda: one.reason() == "10.0.1.1")
        one.probes.cables({states.plug("web1", "front").host_link: Cable.DOWN})
        await world.until(lambda: one.reason() == "its link is down or gone")
    assert world.records == []


async def test_a_pass_that_may_turn_the_member_is_not_why_it_is_down() -> None:
    world = World()
    slow = states.svc("web", "front", "10.0.1.100", check=replace(HASTY, rise=10**6))
    one = Told(world, STATE.apply(ids.Revision(2), [Put(slow)]))
    async with run(one.probes, one.state):
        world.healthy = False
        await world.until(lambda: one.reason() == "10.0.1.1")
        world.healthy = True
        dialled = world.dialled
        await world.until(lambda: world.dialled > dialled + 10)
        assert one.reason() == "10.0.1.1"


async def test_it_is_forgotten_when_the_member_is_up() -> None:
    world = World()
    world.healthy = False
    one = Told(world, STATE)
    async with run(one.probes, STATE):
        await world.until(lambda: bool(one.probes.newer()))
        world.healthy = True
        await world.until(lambda: not one.probes.newer())
    assert [status for _, status, _ in world.records] == [health.Status.UP]


async def test_it_is_forgotten_when_the_member_is_checked_no_more() -> None:
    world = World()
    world.healthy = False
    one = Told(world, STATE)
    async with run(one.probes, STATE) as slot:
        await world.until(lambda: bool(one.probes.newer()))
        slot.put(STATE.apply(ids.Revision(2), [Gone(service.Member, KEY)]))
        await world.until(lambda: not one.probes.newer())

"""Transitions are recorded once, for the members of the newest state, whatever the store does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lb.checks import Check
from lb.dial import Dial, Result
from lb.heard import Heard
from lb.probes import Probes
from lb.tally import Tally
from sdd import errors
from sdd.model import health, ids
from sdd.model.service import CheckKind, HealthCheck
from sdd.reconcile import Slot
from sdd.state import ClusterState
from tests.unit.lb import ingress_states, states
from tests.unit.lb.watched import HASTY, TOWN, World


@asynccontextmanager
async def running(world: World, state: ClusterState) -> AsyncIterator[Slot]:
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    async with run(probes, state) as slot:
        yield slot


@asynccontextmanager
async def run(probes: Probes, state: ClusterState) -> AsyncIterator[Slot]:
    slot = Slot()
    slot.put(state)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(probes.run(slot), name="probes")
        yield slot
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_who_begins_anew_checks_everybody_again() -> None:
    world = World()
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    for _ in range(2):
        before = world.dialled
        async with run(probes, states.state(*TOWN)):
            await world.until(lambda: world.dialled > before)  # noqa: B023 - awaited


async def test_a_new_member_is_recorded_up_once() -> None:
    world = World()
    async with running(world, states.state(*TOWN)):
        await world.until(lambda: world.dialled >= 10)
    assert world.records == [("web1-front", health.Status.UP, "told")]


async def test_B9_17_a_dead_member_is_recorded_down_with_the_reason() -> None:
    world = World()
    up = states.verdict("web", "web1", "front", health.Status.UP)
    async with running(world, states.state(*TOWN, up)):
        await world.until(lambda: world.dialled >= 2)
        world.healthy = False
        await world.until(lambda: len(world.records) == 1)
        world.healthy = True
        await world.until(lambda: len(world.records) == 2)
    assert world.records == [
        ("web1-front", health.Status.DOWN, "10.0.1.1"),
        ("web1-front", health.Status.UP, "told"),
    ]


async def test_a_store_that_refuses_is_asked_again() -> None:
    world = World()
    world.refusing = True
    async with running(world, states.state(*TOWN)):
        await world.until(lambda: world.dialled >= 5)
        world.refusing = False
        await world.until(lambda: bool(world.records))
    assert world.records == [("web1-front", health.Status.UP, "told")]


async def test_after_a_refusal_it_is_recorded_also_that_all_is_as_before() -> None:
    """Whoever was told that it could not be stored hears that nothing is left to be."""
    world = World()
    up = states.verdict("web", "web1", "front", health.Status.UP)
    async with running(world, states.state(*TOWN, up)):
        await world.until(lambda: world.dialled >= 2)
        world.refusing, world.healthy = True, False
        before = world.dialled
        await world.until(lambda: world.dialled >= before + 10)
        world.healthy = True
        before = world.dialled
        await world.until(lambda: world.dialled >= before + 10)
        world.refusing = False
        await world.until(lambda: bool(world.records))
    assert world.records == [("web1-front", health.Status.UP, "told")]


async def test_a_member_that_left_is_checked_no_more() -> None:
    world = World()
    async with running(world, states.state(*TOWN)) as slot:
        await world.until(lambda: world.dialled >= 3)
        slot.put(states.state(*TOWN[:-1], revision=2))
        await world.until(lambda: not _probing())
        before = world.dialled
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert world.dialled == before


async def test_a_changed_check_starts_anew_and_an_unchanged_one_goes_on() -> None:
    world = World()
    async with running(world, states.state(*TOWN)) as slot:
        await world.until(lambda: bool(world.records))
        (before,) = _probing()
        up = states.verdict("web", "web1", "front", health.Status.UP)
        slot.put(states.state(*TOWN, up, revision=2))
        dialled = world.dialled
        await world.until(lambda: world.dialled > dialled + 3)
        assert _probing() == {before}
        slower = states.svc("web", "front", "10.0.1.100", number=9, check=states.CHECKED)
        slot.put(states.state(*TOWN, up, slower, revision=3))
        await world.until(lambda: _probing() not in ({before}, set()))
    assert len(world.records) == 1


async def test_B9_19_reports_that_flap_turn_nothing() -> None:
    world = World()
    how = HealthCheck(kind=CheckKind.TTL, ttl_s=600.0, rise=2, fall=3)
    town = (*TOWN[:-2], states.svc("web", "front", "10.0.1.100", check=how), TOWN[-1])
    key = (ids.ServiceId("web"), ids.EndpointId("web1-front"))
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)

    async def reports(words: str) -> None:
        for each in words:
            probes.report(key, passed=each == "+", reason="told")
            for _ in range(20):
                await asyncio.sleep(0)

    async with run(probes, states.state(*town)):
        await world.until(lambda: bool(_probing()))
        await reports("++")
        await world.until(lambda: len(world.records) == 1)
        await reports("-+-+-+--+")
        assert len(world.records) == 1
        await reports("---")
        await world.until(lambda: len(world.records) == 2)
    assert [status for _, status, _ in world.records] == [health.Status.UP, health.Status.DOWN]


async def test_a_report_of_a_member_that_is_dialled_is_refused() -> None:
    world = World()
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    with pytest.raises(errors.Conflict):
        probes.report((ids.ServiceId("web"), ids.EndpointId("web1-front")), passed=True, reason="")


def _probing() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if task.get_name().startswith("probe ")}


SELDOM = replace(HASTY, interval_s=3600.0, fast_s=0.001)
SELDOM_TOWN = (*TOWN[:3], states.svc("web", "front", "10.0.1.100", check=SELDOM), TOWN[4])


@pytest.mark.parametrize(
    "sign",
    [
        lambda probes: probes.suspect((ids.ServiceId("web"), ids.EndpointId("web1-front"))),
        lambda probes: probes.unreached(ip_address("10.0.1.1")),
    ],
    ids=["counters", "neighbour"],
)
async def test_a_sign_makes_a_member_be_checked_at_once_and_the_checks_decide(
    sign: Callable[[Probes], None],
) -> None:
    world = World()
    up = states.verdict("web", "web1", "front", health.Status.UP)
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    async with run(probes, states.state(*SELDOM_TOWN, up)):
        await world.until(lambda: world.dialled == 1)
        sign(probes)
        await world.until(lambda: world.dialled == 3)  # `rise` passes and the doubt is over
        for _ in range(100):
            await asyncio.sleep(0)
        assert (world.dialled, world.records) == (3, [])
        world.healthy = False
        sign(probes)
        await world.until(lambda: bool(world.records))
    assert world.records == [("web1-front", health.Status.DOWN, "10.0.1.1")]
    assert world.dialled == 5  # the sign is one of `fall`
    assert probes.suspicions() == {ids.ServiceId("web"): 2}


async def test_each_ip_version_is_checked_and_the_one_that_fails_is_told() -> None:
    world = World()
    deaf = {6}

    async def dial(check: Check) -> Result:
        world.dialled += 1
        await asyncio.sleep(0)
        failed = check.address.version in deaf
        return Result(passed=not failed, reason="connection refused" if failed else "connected")

    dual = states.plug("web1", "front", "10.0.1.1/24", "fd00::1/64")
    town = states.state(*TOWN[:2], dual, *TOWN[3:])
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=dial)
    up = health.Status.UP
    async with run(probes, town):
        await world.until(lambda: len(world.records) == 1)
        assert (world.records[-1], world.failing) == (
            ("web1-front", up, "IPv6: connection refused"),
            (6,),
        )
        deaf.clear()
        await world.until(lambda: len(world.records) == 2)
        assert (world.records[-1], world.failing) == (("web1-front", up, "connected"), ())
        deaf.update({4, 6})
        await world.until(lambda: len(world.records) == 3)
    assert world.records[-1] == ("web1-front", health.Status.DOWN, "connection refused")


async def test_a_check_that_is_refused_is_no_sign_that_calls_for_the_next() -> None:
    world = World()
    world.healthy = False
    how = replace(SELDOM, interval_s=3600.0, fast_s=3600.0, fall=1)
    down = states.verdict("web", "web1", "front", health.Status.DOWN)
    town = (*TOWN[:3], states.svc("web", "front", "10.0.1.100", check=how), TOWN[4], down)
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    async with run(probes, states.state(*town)):
        await world.until(lambda: world.dialled == 1)
        for _ in range(100):
            probes.unreached(ip_address("10.0.1.1"))
            await asyncio.sleep(0)
    assert world.dialled == 1


async def test_a_sign_about_nobody_we_check_is_nothing() -> None:
    world = World()
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    probes.suspect((ids.ServiceId("web"), ids.EndpointId("web1-front")))
    probes.unreached(ip_address("10.0.1.77"))
    assert world.dialled == 0


async def test_each_check_is_told_with_its_result() -> None:
    world, tally = World(), Tally()
    probes = Probes(
        *(world.record, states.NODE, time.monotonic, lambda: 0.5), dial=world.dial, told=tally.told
    )
    async with run(probes, states.state(*TOWN)):
        await world.until(lambda: world.dialled >= 3)
        world.healthy = False
        before = world.dialled
        await world.until(lambda: world.dialled >= before + 4)
    found = tally.of(ids.ServiceId("web"))
    assert found.checks >= world.dialled - 1
    assert found.failures >= 3
    assert found.seconds > 0
    tally.forget(but=frozenset())
    assert tally.of(ids.ServiceId("web")).checks == 0


async def test_who_does_not_answer_on_ingress_is_up_for_all_others() -> None:
    world = World()
    deaf = {"fd00::a"}

    async def dial(check: Check) -> Result:
        world.dialled += 1
        await asyncio.sleep(0)
        failed = str(check.address) in deaf
        return Result(passed=not failed, reason="connection refused" if failed else "connected")

    shop = ingress_states.shop(health=HASTY)
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=dial)
    up = health.Status.UP
    async with run(probes, ingress_states.town(shop)):
        await world.until(lambda: len(world.records) == 1)
        assert (world.records[-1], world.failing, world.ingress_failing) == (
            ("web-front", up, "published ports, IPv6: connection refused"),
            (),
            (6,),
        )
        deaf.clear()
        await world.until(lambda: len(world.records) == 2)
        assert (world.records[-1][2], world.ingress_failing) == ("connected", ())
        deaf.add("10.1.0.2")
        await world.until(lambda: len(world.records) == 3)
    assert world.records[-1] == ("web-front", health.Status.DOWN, "connection refused")


class Program:
    """One that answers until it hangs; silence passes, as of a program that never says a word."""

    is_silent = False

    def dialled(self, world: World) -> Dial:
        async def dial(check: Check) -> Result:
            del check
            world.dialled += 1
            await asyncio.sleep(0)
            if self.is_silent:
                return Result(passed=True, reason="no answer", heard=Heard.SILENCE)
            return Result(passed=True, reason="an answer", heard=Heard.WORDS)

        return dial


ECHO = states.svc("web", "front", "10.1.0.100", check=replace(HASTY, kind=CheckKind.UDP))


async def test_silence_is_a_failure_once_it_answered_also_after_a_restart() -> None:
    world, tally, program = World(), Tally(), Program()
    dial = program.dialled(world)
    up = states.verdict("web", "web1", "front", health.Status.UP)
    down = states.verdict("web", "web1", "front", health.Status.DOWN, (4,))
    common = (world.record, states.NODE, time.monotonic, lambda: 0.5)
    async with run(Probes(*common, dial=dial, told=tally.told), states.state(*TOWN, ECHO, up)):
        await world.until(lambda: world.dialled >= 2)
        assert world.records == [("web1-front", health.Status.UP, "an answer")]
        assert world.answered == (4,)
        program.is_silent = True
        before = world.dialled
        await world.until(lambda: world.dialled >= before + 10)
    word = "no answer, though it answered before"
    assert world.records[1:] == [("web1-front", health.Status.DOWN, word)]
    assert world.answered == (4,)
    assert tally.of(ids.ServiceId("web")).failures >= 9
    async with run(Probes(*common, dial=dial), states.state(*TOWN, ECHO, down)):
        before = world.dialled
        await world.until(lambda: world.dialled >= before + 10)
        assert len(world.records) == 2
        program.is_silent = False
        await world.until(lambda: len(world.records) == 3)
    assert world.records[2] == ("web1-front", health.Status.UP, "an answer")


async def test_of_who_never_answered_nothing_is_told() -> None:
    world, program = World(), Program()
    program.is_silent = True
    common = (world.record, states.NODE, time.monotonic, lambda: 0.5)
    async with run(Probes(*common, dial=program.dialled(world)), states.state(*TOWN, ECHO)):
        await world.until(lambda: world.dialled >= 10)
    assert world.records == [("web1-front", health.Status.UP, "no answer")]
    assert world.answered == ()


@pytest.mark.parametrize("same", [True, False], ids=["another interval", "another port"])
async def test_a_check_that_asks_the_same_program_goes_on_with_what_it_heard(same: bool) -> None:
    world, program = World(), Program()
    dial = program.dialled(world)
    up = states.verdict("web", "web1", "front", health.Status.UP)
    down = states.verdict("web", "web1", "front", health.Status.DOWN)
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=dial)
    async with run(probes, states.state(*TOWN, up)) as slot:
        await world.until(lambda: world.dialled >= 2)
        program.is_silent = True
        await world.until(lambda: len(world.records) == 1)
        how = replace(HASTY, interval_s=0.02) if same else replace(HASTY, port=81)
        slot.put(states.state(*TOWN, states.svc("web", "front", "10.1.0.100", check=how), down))
        before = world.dialled
        await world.until(lambda: world.dialled >= before + 10)
    assert [each[1] for each in world.records[1:]] == ([] if same else [health.Status.UP])

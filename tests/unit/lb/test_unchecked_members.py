"""Members whose checks cannot be made stay as they are, and somebody is told."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from lb.checks import Check
from lb.dial import Result
from lb.probes import Probes
from lb.tally import Tally
from lb.unmade import Unmade
from sdd.model import health, ids
from sdd.state import MemberKey
from tests.support import LoopClock, turns
from tests.unit.lb import states
from tests.unit.lb.test_probes import run
from tests.unit.lb.watched import HASTY, TOWN, World

KEY = (ids.ServiceId("web"), ids.EndpointId("web1-front"))
BOTH = (*TOWN[:2], states.plug("web1", "front", "10.0.1.1/24", "fd00::1/64"), *TOWN[3:])


class Poor(World):
    """A host that lacks something for checks of the addresses that are in `lacking`."""

    def __init__(self) -> None:
        super().__init__()
        self.lacking: dict[str, str] = {}
        self.told: list[tuple[MemberKey, str]] = []
        self.tally = Tally()

    async def tried(self, check: Check) -> Result | Unmade:
        result = await self.dial(check)
        lack = self.lacking.get(str(check.address))
        return Unmade(lack) if lack else result

    def turned(self, key: MemberKey, reason: str) -> None:
        self.told.append((key, reason))

    def probes(self, jitter: Callable[[], float] = lambda: 0.5) -> Probes:
        return Probes(
            *(self.record, states.NODE, time.monotonic, jitter),
            dial=self.tried,
            told=self.tally.told,
            turned=self.turned,
        )


@pytest.mark.parametrize("status", list(health.Status))
async def test_who_cannot_be_checked_keeps_its_status_and_is_told_of(status: health.Status) -> None:
    world = Poor()
    world.lacking = {"10.0.1.1": "too many open files"}
    verdict = states.verdict("web", "web1", "front", status)
    async with run(world.probes(), states.state(*TOWN, verdict)):
        await world.until(lambda: world.dialled >= 10)
        assert world.records == []
        assert world.told == [(KEY, "too many open files")]
        world.lacking = {"10.0.1.1": "operation not permitted"}
        await world.until(lambda: len(world.told) == 2)
        world.lacking, world.healthy = {}, status is health.Status.DOWN
        await world.until(lambda: len(world.records) == 1)
    assert world.told == [
        (KEY, "too many open files"),
        (KEY, "operation not permitted"),
        (KEY, ""),
    ]
    found = world.tally.of(KEY[0])
    assert found.unmade >= 10
    assert found.checks == world.dialled - found.unmade


async def test_it_is_told_as_late_as_failures_would_have_counted() -> None:
    """Tried again soon until then, and as seldom as any check after it."""
    world = Poor()
    world.lacking = {"10.0.1.1": "too many open files"}
    how = replace(HASTY, interval_s=600.0, fast_s=0.01, fall=3)
    town = (*TOWN[:3], states.svc("web", "front", "10.0.1.100", check=how), TOWN[4])
    up = states.verdict("web", "web1", "front", health.Status.UP)
    probes, clock = world.probes(lambda: 0.0), LoopClock()
    async with run(probes, states.state(*town, up)):
        await world.until(lambda: world.dialled == 2)
        assert world.told == []
        probes.suspect(KEY)  # nor does a sign make it hasty for ever
        await world.until(lambda: bool(world.told))
        assert world.dialled == 3
        for dialled in (3, 4):
            for _ in range(20):
                clock.forward(how.interval_s / 30)
                await turns()
            assert world.dialled == dialled
            clock.forward(how.interval_s)
            await world.until(lambda: world.dialled > dialled)  # noqa: B023 - awaited


async def test_one_address_that_cannot_be_asked_leaves_the_others_to_decide() -> None:
    world = Poor()
    world.lacking = {"fd00::1": "network is unreachable"}
    async with run(world.probes(), states.state(*BOTH)):
        await world.until(lambda: bool(world.records) and bool(world.told))
        assert world.records == [
            ("web1-front", health.Status.UP, "IPv6: cannot be checked: network is unreachable")
        ]
        assert world.failing == (6,)
        assert world.told == [(KEY, "IPv6: network is unreachable")]
        world.lacking = {}
        await world.until(lambda: len(world.records) == 2)
    assert world.records[1] == ("web1-front", health.Status.UP, "told")
    assert world.told[1:] == [(KEY, "")]


async def test_a_member_that_left_is_told_of_no_more() -> None:
    world = Poor()
    world.lacking = {"10.0.1.1": "too many open files"}
    async with run(world.probes(), states.state(*TOWN)) as slot:
        await world.until(lambda: bool(world.told))
        slot.put(states.state(*TOWN[:-1], revision=2))
        await world.until(lambda: len(world.told) == 2)
        await asyncio.sleep(0)
    assert world.told[-1] == (KEY, "")


async def test_probes_that_begin_anew_have_told_of_nobody_yet() -> None:
    world = Poor()
    world.lacking = {"10.0.1.1": "too many open files"}
    async with run(world.probes(), states.state(*TOWN)):
        await world.until(lambda: bool(world.told))
    assert world.told == [(KEY, "too many open files"), (KEY, "")]

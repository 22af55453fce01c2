"""What the kernel says of a member's cable is its health at once."""

import asyncio
import time
from dataclasses import replace

import pytest

from lb.cable import Cable
from lb.checks import Check
from lb.dial import Result
from lb.probes import Probes
from sdd.model import health
from sdd.reconcile import Slot
from tests.unit.lb import states
from tests.unit.lb.watched import HASTY, TOWN, World


async def test_a_cut_cable_is_down_at_once_and_a_mended_one_checked_at_once() -> None:
    world = World()
    slow = replace(HASTY, interval_s=600.0, fast_s=0.001)
    town = (*TOWN[:-2], states.svc("web", "front", "10.0.1.100", check=slow), TOWN[-1])
    link = states.plug("web1", "front").host_link
    slot = Slot()
    slot.put(states.state(*town))
    probes = Probes(
        world.record,
        states.NODE,
        time.monotonic,
        lambda: 0.5,
        dial=world.dial,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(probes.run(slot), name="probes")
        await world.until(lambda: len(world.records) == 1)
        probes.cables({"another": Cable.DOWN, link: Cable.DOWN})
        await world.until(lambda: len(world.records) == 2)
        probes.cables({link: Cable.UP})
        await world.until(lambda: len(world.records) == 3)
        probes.cables({link: Cable.GONE})
        await world.until(lambda: len(world.records) == 4)
        probes.cables({link: Cable.UP})
        await world.until(lambda: len(world.records) == 5)
        task.cancel()
    ways = [status for _, status, _ in world.records]
    up, down = health.Status.UP, health.Status.DOWN
    assert ways == [up, down, up, down, up]
    assert "link" in world.records[1][2]


async def test_a_check_that_is_under_way_when_the_cable_is_cut_is_waited_for_no_more() -> None:
    """Its silence would tell the same as late as its timeout."""
    world, slot, hangs = World(), Slot(), asyncio.Event()

    async def dial(check: Check) -> Result:
        if not hangs.is_set():
            return await world.dial(check)
        world.dialled += 1
        await asyncio.Event().wait()
        raise AssertionError("it waits until it is cancelled")

    up = states.verdict("web", "web1", "front", health.Status.UP)
    slot.put(states.state(*TOWN, up))
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=dial)
    link = states.plug("web1", "front").host_link
    async with asyncio.TaskGroup() as group:
        task = group.create_task(probes.run(slot), name="probes")
        await world.until(lambda: world.dialled >= 3)
        hangs.set()
        before = world.dialled
        await world.until(lambda: world.dialled > before)
        probes.cables({link: Cable.DOWN})
        await world.until(lambda: len(world.records) == 1)
        hangs.clear()
        probes.cables({link: Cable.UP})
        await world.until(lambda: len(world.records) == 2)
        task.cancel()
    assert [status for _, status, _ in world.records] == [health.Status.DOWN, health.Status.UP]


@pytest.mark.parametrize(
    ("cable", "status"), [(Cable.DOWN, health.Status.DOWN), (Cable.GONE, health.Status.UP)]
)
async def test_a_new_member_is_down_if_its_link_is_but_not_while_it_is_being_made(
    cable: Cable, status: health.Status
) -> None:
    world, slot = World(), Slot()
    slot.put(states.state(*TOWN))
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    probes.cables({states.plug("web1", "front").host_link: cable})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(probes.run(slot), name="probes")
        await world.until(lambda: len(world.records) == 1)
        task.cancel()
    assert world.records[0][1] is status

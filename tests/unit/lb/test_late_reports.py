"""Members that report themselves, also while the process that hears them gets no processor."""

import asyncio
import time

from lb.probes import Probes
from sdd.model import health, ids
from sdd.model.service import CheckKind, HealthCheck
from sdd.reconcile import Slot
from tests.support import LoopClock, turns
from tests.unit.lb import states
from tests.unit.lb.test_probes import _probing, run
from tests.unit.lb.watched import TOWN, World

KEY = (ids.ServiceId("web"), ids.EndpointId("web1-front"))
TTL_S = 60.0


async def test_a_report_that_came_while_nobody_could_hear_it_counts() -> None:
    world, clock = World(), LoopClock()
    how = HealthCheck(kind=CheckKind.TTL, ttl_s=TTL_S, rise=1, fall=1)
    town = (*TOWN[:3], states.svc("web", "front", "10.0.1.100", check=how), TOWN[4])
    up = states.verdict("web", "web1", "front", health.Status.UP)
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    async with run(probes, states.state(*town, up)):
        await turns()
        clock.forward(2 * TTL_S)  # the thing tested: nothing of ours runs
        await turns()  # a request may take several to be read
        assert world.records == []
        probes.report(KEY, passed=True, reason="")
        await turns()
        assert world.records == []
        clock.forward(TTL_S)
        await world.until(lambda: bool(world.records))
    assert world.records == [("web1-front", health.Status.DOWN, "no report for 60 s")]


async def test_a_member_that_reports_is_up_until_it_says_otherwise_or_falls_silent() -> None:
    world, clock = World(), LoopClock()
    how = HealthCheck(kind=CheckKind.TTL, ttl_s=600.0, rise=1, fall=1)
    town = (*TOWN[:-2], states.svc("web", "front", "10.0.1.100", check=how), TOWN[-1])
    slot = Slot()
    slot.put(states.state(*town))
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(probes.run(slot), name="probes")
        await world.until(lambda: bool(_probing()))
        probes.report(KEY, passed=True, reason="")
        await world.until(lambda: len(world.records) == 1)
        probes.report(KEY, passed=False, reason="queue full")
        await world.until(lambda: len(world.records) == 2)
        probes.report(KEY, passed=True, reason="")
        await world.until(lambda: len(world.records) == 3)
        probes.report(KEY, passed=False, reason="")
        await world.until(lambda: len(world.records) == 4)
        probes.report(KEY, passed=True, reason="")
        await world.until(lambda: len(world.records) == 5)
        await turns()
        clock.forward(600)
        await world.until(lambda: len(world.records) == 6)
        task.cancel()
    assert [(status, reason) for _, status, reason in world.records] == [
        (health.Status.UP, "reported"),
        (health.Status.DOWN, "queue full"),
        (health.Status.UP, "reported"),
        (health.Status.DOWN, "reported as failed"),
        (health.Status.UP, "reported"),
        (health.Status.DOWN, "no report for 600 s"),
    ]
    assert world.dialled == 0

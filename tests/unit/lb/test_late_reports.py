"""Members that report themselves, while the process that hears them gets no processor."""

import asyncio
import time

from lb.probes import Probes
from sdd.model import health, ids
from sdd.model.service import CheckKind, HealthCheck
from tests.unit.lb import states
from tests.unit.lb.test_probes import run
from tests.unit.lb.watched import TOWN, World

KEY = (ids.ServiceId("web"), ids.EndpointId("web1-front"))
TTL_S = 0.2


async def test_a_report_that_came_while_nobody_could_hear_it_counts() -> None:
    world = World()
    how = HealthCheck(kind=CheckKind.TTL, ttl_s=TTL_S, rise=1, fall=1)
    town = (*TOWN[:3], states.svc("web", "front", "10.0.1.100", check=how), TOWN[4])
    up = states.verdict("web", "web1", "front", health.Status.UP)
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    async with run(probes, states.state(*town, up)):
        for _ in range(20):
            await asyncio.sleep(0)
        time.sleep(2 * TTL_S)  # noqa: ASYNC251 - the thing tested: nothing of ours runs
        for _ in range(20):  # a request may take several turns of the loop to be read
            await asyncio.sleep(0)
        assert world.records == []
        probes.report(KEY, passed=True, reason="")
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.records == []
        await world.until(lambda: bool(world.records))
    assert world.records == [("web1-front", health.Status.DOWN, f"no report for {TTL_S} s")]

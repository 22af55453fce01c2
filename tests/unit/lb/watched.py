"""A member that is checked, backends that answer as told, and a store that may refuse."""

import asyncio
from collections.abc import Callable

from lb.checks import Check
from lb.dial import Result
from sdd import errors
from sdd.model import health, ids
from sdd.model.service import CheckKind, HealthCheck
from tests.unit.lb import states

HASTY = HealthCheck(kind=CheckKind.TCP, port=80, interval_s=0.001, timeout_s=1, rise=2, fall=3)
TOWN = (
    states.net("front", 1),
    states.box("web1"),
    states.plug("web1", "front", "10.0.1.1/24"),
    states.svc("web", "front", "10.0.1.100", check=HASTY),
    states.member("web", "web1", "front"),
)


class World:
    """Backends that answer as told, and a store that may refuse."""

    def __init__(self) -> None:
        self.healthy = True
        self.refusing = False
        self.dialled = 0
        self.records: list[tuple[str, health.Status, str]] = []
        self.failing: tuple[int, ...] = ()
        self.ingress_failing: tuple[int, ...] = ()

    async def dial(self, check: Check) -> Result:
        self.dialled += 1
        await asyncio.sleep(0)
        return Result(passed=self.healthy, reason="told" if self.healthy else str(check.address))

    async def record(
        self, service: ids.ServiceId, endpoint: ids.EndpointId, said: health.Said
    ) -> None:
        if self.refusing:
            raise errors.Unavailable(f"the store of {service} is away")
        self.records.append((endpoint, said.status, said.reason))
        self.failing, self.ingress_failing = said.failing, said.ingress_failing
        self.answered = said.answered

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - other tasks run on; nobody could set an event
                await asyncio.sleep(0)

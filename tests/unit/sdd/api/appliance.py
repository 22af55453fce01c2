"""The API with a desk, a resolver and a balancer in memory behind it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from lb import view
from metrics import exposition
from metrics.registry import Registry
from sdd import errors
from sdd.api.context import About, Context
from sdd.api.protocol import Patience
from sdd.api.server import PATIENCE, Server, serve
from sdd.logbook import Logbook
from sdd.model import sandbox
from sdd.model.difference import Difference
from sdd.model.port import Protocol
from sdd.model.service import Scheduler
from sdd.state import MemberKey
from tests.unit.sdd.api.desk import Desk
from tests.unit.sdd.api.names import Resolver


def lb_row(service: str = "web", *, rates: bool = False) -> view.Row:
    """One row as lb.view makes it."""
    common = {
        "service": service,
        "serving": "",
        "protocol": "tcp",
        "vip": ip_address("10.1.0.2"),
        "port": 0,
        "scheduler": "rr",
        "persistence_s": 0,
        "address": ip_address("10.1.0.3"),
        "forward": "Masq",
        "weight": 1,
        "active": 0,
        "inactive": 2,
        "connections": 4,
        "in_packets": 40,
        "out_packets": None,
        "in_bytes": 400,
        "out_bytes": None,
    }
    if not rates:
        return view.Row(**common)  # type: ignore[arg-type]  # one table for both kinds
    speeds = dict.fromkeys(view.RateRow.__dataclass_fields__.keys() - common.keys(), 7)
    return view.RateRow(**common, **speeds)  # type: ignore[arg-type]  # same


class Appliance:
    """The context with everything behind it reachable for a test."""

    def __init__(self, data_root: Path = Path("/var/lib/sdd")) -> None:
        self.desk = Desk()
        self.resolver = Resolver()
        self.now = [1_000_000.0]
        self.logbook = Logbook(self._tick)
        self.checks: Callable[[], Awaitable[Sequence[Difference]]] | None = None
        self.labels: tuple[str, ...] = ()
        self.rows: Mapping[str, Sequence[str]] = {}
        self.reports: list[tuple[MemberKey, bool, str]] = []
        self.unchecked: dict[MemberKey, str] = {}
        self.registry = Registry("0.0-test", clock=lambda: 5000.0)
        self.registry.add(exposition.objects(lambda: self.desk.state))
        self._context = Context(
            commands=self.desk,
            state=lambda: self.desk.state,
            progress=lambda: self.desk.outcomes,
            repaired=lambda: self.desk.repaired,
            trace=self.resolver,
            names=self.resolver,
            lb_view=self.view,
            lb_trace=self.lb_trace,
            about=About(
                version="0.0-test",
                node="here",
                lb_backend="nftables",
                lb_why="this kernel has no IPVS",
                data_root=data_root,
                exec_root=Path("/run/sdd"),
                store="sqlite",
                started=100.0,
            ),
            registry=self.registry,
            report=self.report,
            unchecked=lambda: self.unchecked,
            schedulers=self.schedulers,
            labels=lambda: self.labels,
            journal=self.desk.journal,
            logbook=self.logbook,
        )

    def _tick(self) -> float:
        """Each line of the log is one second later than the one before."""
        self.now[0] += 1
        return self.now[0]

    @property
    def context(self) -> Context:
        """What the server is started with."""
        return replace(self._context, verify=self._verify)

    async def _verify(self) -> Sequence[Difference]:
        if self.checks is None:
            raise errors.Unavailable("this daemon cannot verify", code="SDD-VERIFY-OFF")
        return await self.checks()

    def report(self, key: MemberKey, /, *, passed: bool, reason: str) -> None:
        self.reports.append((key, passed, reason))

    async def schedulers(self) -> Sequence[Scheduler]:
        return (Scheduler.RR, Scheduler.MH)

    async def lb_trace(
        self, box: sandbox.Sandbox, to: str, port: int, protocol: Protocol, /
    ) -> Sequence[tuple[str, str]]:
        return [("network lab", f"{to} seen from {box.name}"), ("tried", f"port {port}/{protocol}")]

    async def view(self, box: sandbox.Sandbox, /, rates: bool = False) -> Sequence[view.Row]:
        return [lb_row(name, rates=rates) for name in self.rows.get(box.name, ())]


@asynccontextmanager
async def served(
    appliance: Appliance, path: Path, patience: Patience = PATIENCE
) -> AsyncIterator[Server]:
    """The real server on a unix socket."""
    server = await serve(appliance.context, [f"unix://{path}"], patience=patience)
    try:
        yield server
    finally:
        await server.close()

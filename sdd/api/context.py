"""Everything a handler may reach, handed in by the composition root. Nothing here is global.

The protocols name the one verb each that the API needs of a backend, so that it imports none.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sdd.control.commands import Commands
from sdd.control.journal import Journal
from sdd.defects import Defects
from sdd.logbook import Logbook
from sdd.model import port as ports
from sdd.model import progress, sandbox
from sdd.model.difference import Difference
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler
from sdd.state import ClusterState, MemberKey


class Asked(Protocol):
    """The answer to one DNS question as `sdctl dns query` shows it."""

    @property
    def rcode(self) -> str:
        """NOERROR, NXDOMAIN, SERVFAIL …, or TIMEOUT when no answer came."""
        ...

    @property
    def answers(self) -> Sequence[tuple[str, int, str, str]]:
        """(name, ttl in seconds, type, data) per record."""
        ...

    @property
    def authority(self) -> Sequence[tuple[str, int, str, str]]:
        """The same for the authority section."""
        ...

    @property
    def milliseconds(self) -> float:
        """From question to answer."""
        ...

    @property
    def is_cut(self) -> bool:
        """Whether records are missing, as it says itself."""
        ...

    @property
    def server(self) -> str:
        """The address asked."""
        ...


class Step(Protocol):
    """One decision of the DNS server."""

    @property
    def stage(self) -> str:
        """What decides, such as "network ID", "cache", "upstream" or "tried"."""
        ...

    @property
    def text(self) -> str:
        """Its words."""
        ...


class Attempt(Protocol):
    """One question of those that one look-up leads to."""

    @property
    def name(self) -> str:
        """The name that was asked."""
        ...

    @property
    def rdtype(self) -> str:
        """The type that was asked for, by its usual name."""
        ...

    @property
    def steps(self) -> Sequence[Step]:
        """The decisions, in order; empty when the worker could not be reached."""
        ...

    @property
    def reply(self) -> Asked:
        """What came back."""
        ...

    @property
    def source(self) -> str:
        """In a few words where it came from; empty when not known."""
        ...

    @property
    def is_found(self) -> bool:
        """Whether the reply has anything of the type that was asked for."""
        ...

    @property
    def why(self) -> Sequence[tuple[int, str]]:
        """What the reply says of itself, as codes of RFC 8914 and words."""
        ...


class Trace(Protocol):
    """Asks and explains; resolver.trace implements it."""

    async def ask(
        self, box: sandbox.Sandbox, name: str, rdtype: str, *, tcp: bool, timeout_s: float
    ) -> Attempt:
        """One question as it is; raises Invalid for a bad name or type."""
        ...

    async def trace(
        self,
        box: sandbox.Sandbox,
        name: str,
        rdtype: str,
        *,
        tcp: bool = False,
        timeout_s: float,
    ) -> Sequence[Attempt]:
        """Every question that a program's look-up leads to."""
        ...

    async def edited(self, box: sandbox.Sandbox) -> Sequence[str]:
        """The paths of the sandbox's files that somebody changed: they are left alone."""
        ...

    async def foreign(self, box: sandbox.Sandbox) -> Sequence[str]:
        """The paths where `ip netns exec` finds files of somebody else instead of ours."""
        ...


class Inquire(Protocol):
    """What the DNS worker knows, as frozen dataclasses; resolver.inquirer implements it."""

    async def cached(self) -> Sequence[Any]:
        """The entries of the cache."""
        ...

    async def flush(self, name: str) -> int:
        """How many entries for `name` and below were forgotten."""
        ...

    async def upstreams(self) -> Sequence[Any]:
        """The servers that were asked, and how they did."""
        ...


class View(Protocol):
    """The kernel's own view of balancing; lb.view implements it."""

    async def __call__(self, box: sandbox.Sandbox, /, rates: bool = False) -> Sequence[object]:
        """The rows of one sandbox's namespace, frozen dataclasses."""
        ...


class LbTrace(Protocol):
    """How a connection to a virtual address goes; lb.trace implements it."""

    async def __call__(
        self, box: sandbox.Sandbox, to: str, port: int, protocol: ports.Protocol, /
    ) -> Sequence[tuple[str, str]]:
        """(stage, words) of each decision; with a port, also what became of a connection."""
        ...


class Report(Protocol):
    """A member's own word about its health; lb.probes implements it."""

    def __call__(self, key: MemberKey, /, *, passed: bool, reason: str) -> None:
        """Take it; raises Conflict when this member does not report to this node."""
        ...


class Registry(Protocol):
    """Counters and the Prometheus page; metrics.registry implements it."""

    async def render(self, accept: str) -> tuple[bytes, str]:
        """(page, its content type) in the format that the Accept header prefers."""
        ...

    def command(self, action: str, result: str, seconds: float) -> None:
        """One command took `seconds`; `result` is "ok" or an error's code."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What this daemon is. `started` is seconds since the epoch, `advertise` may be empty.

    `lacks` are the capabilities that it would use and has not got.
    """

    version: str
    node: str
    lb_backend: str
    lb_why: str
    data_root: Path
    exec_root: Path
    store: str
    started: float
    advertise: str = ""
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`state` is the newest state, `progress` each backend's last outcome.

    In `state` are the newest reasons of this node's checks. `repaired` counts for each backend what
    it undid of the doings of others since the start. `labels` are those of this node that hold now:
    a reload may change them. `schedulers` asks the balancer what it offers. `clock` gives seconds
    since the epoch. `nameservers` are those that the host asks just now. `unheard` says why
    refusals of connections are not heard; empty when they are.
    `unchecked` says of members why their checks cannot be made.
    """

    commands: Commands
    state: Callable[[], ClusterState]
    repaired: Callable[[], Mapping[progress.Backend, int]]
    progress: Callable[[], Mapping[progress.Backend, progress.Outcome]]
    trace: Trace
    names: Inquire
    lb_view: View
    lb_trace: LbTrace
    about: About
    registry: Registry
    report: Report
    schedulers: Callable[[], Awaitable[Sequence[Scheduler]]]
    defects: Defects = field(default_factory=Defects)
    labels: Callable[[], Sequence[str]] = tuple
    nameservers: Callable[[], Collection[IPAddress]] = tuple
    unheard: Callable[[], str] = str
    unchecked: Callable[[], Mapping[MemberKey, str]] = dict
    clock: Callable[[], float] = time.time
    journal: Journal | None = None
    logbook: Logbook | None = None
    verify: Callable[[], Awaitable[Sequence[Difference]]] | None = None

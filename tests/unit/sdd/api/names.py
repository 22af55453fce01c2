"""A resolver in memory: it knows the names it was told."""

from collections.abc import Sequence
from dataclasses import dataclass

from resolver import protocol
from resolver.explain import inspection, query
from resolver.explain import trace as way
from sdd.model import sandbox


@dataclass(frozen=True)
class Answer:
    """What the desk's resolver says."""

    rcode: str = "NOERROR"
    answers: Sequence[tuple[str, int, str, str]] = ()
    authority: Sequence[tuple[str, int, str, str]] = ()
    milliseconds: float = 0.25
    server: str = "127.0.0.11"
    explained: Sequence[tuple[int, str]] = ()
    is_cut: bool = False


class Resolver:
    """Knows the names it was told; every answer is `box`'s first network's."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], Answer] = {}
        self.asked: list[tuple[str, str, str, bool]] = []
        self.search: tuple[str, ...] = ()
        self.changed: dict[str, tuple[str, ...]] = {}
        self.strange: dict[str, tuple[str, ...]] = {}
        self.entries: tuple[inspection.CacheEntry, ...] = ()
        self.servers: tuple[inspection.Upstream, ...] = ()
        self.flushed: list[str] = []
        self.zones: dict[str, str] = {}  # name → the zone of a network that it is in

    async def ask(
        self, box: sandbox.Sandbox, name: str, rdtype: str, *, tcp: bool, timeout_s: float
    ) -> way.Attempt:
        assert timeout_s > 0
        query.question(name, rdtype)
        self.asked.append((box.netns, name, rdtype, tcp))
        found = self.names.get((name, rdtype), Answer(rcode="NXDOMAIN"))
        step = protocol.Step("owned", found.rcode)
        kind = query.type_name(rdtype)
        zone = self.zones.get(name)
        steps = (step, protocol.Step(protocol.OWN_ZONE, zone)) if zone else (step,)
        return way.Attempt(name=name, rdtype=kind, steps=steps, reply=found)  # type: ignore[arg-type]  # the shape is what counts

    async def trace(
        self,
        box: sandbox.Sandbox,
        name: str,
        rdtype: str,
        *,
        tcp: bool = False,
        timeout_s: float,
    ) -> Sequence[way.Attempt]:
        tried: list[way.Attempt] = []
        for each in (name, *(f"{name}.{domain}" for domain in self.search)):
            tried.append(await self.ask(box, each, rdtype, tcp=tcp, timeout_s=timeout_s))
            if tried[-1].is_found:
                break
        return tried

    async def edited(self, box: sandbox.Sandbox) -> Sequence[str]:
        return self.changed.get(box.name, ())

    async def foreign(self, box: sandbox.Sandbox) -> Sequence[str]:
        return self.strange.get(box.name, ())

    async def cached(self) -> Sequence[inspection.CacheEntry]:
        return self.entries

    async def flush(self, name: str) -> int:
        query.top(name)
        self.flushed.append(name)
        return len(self.entries)

    async def upstreams(self) -> Sequence[inspection.Upstream]:
        return self.servers

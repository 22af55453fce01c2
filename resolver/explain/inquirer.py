"""What the DNS worker knows, for people: how it would answer, what it remembers, whom it asks.

In: questions as text. Out: frozen values. Long lists come in pages, so no other talk with the
worker waits for long.
"""

from typing import Final

import dns.rdatatype

from resolver import protocol
from resolver.control import launch, link
from resolver.counters import rcode_label
from resolver.explain import query
from resolver.explain.inspection import CacheEntry, Upstream
from resolver.message import wire
from resolver.protocol import Step
from sdd.model import ids

MOST_ROWS: Final = 32_000  # more than any worker keeps: one that never ends is not believed


class Inquirer:
    """Asks the worker that `launcher` finds; every verb may raise `errors.Unavailable`."""

    def __init__(self, launcher: launch.Launcher) -> None:
        self.launcher = launcher

    async def explain(self, box: ids.SandboxId, name: str, rdtype: str) -> tuple[Step, ...]:
        """The decisions about a question from `box`, in order, without asking any upstream.

        Raises `errors.Invalid` for a bad name or type.
        """
        asked = query.question(name, rdtype).question[0]
        message = protocol.Explain(
            sandbox=box, name=asked.name.canonicalize().to_wire() or b"\0", kind=int(asked.rdtype)
        )
        told = await self._inquire(message, protocol.Explained)
        return tuple(told.steps)

    async def cached(self) -> tuple[CacheEntry, ...]:
        """The cache's entries, the least recently used first."""
        rows: list[protocol.CacheRow] = []
        others = True
        while others and len(rows) < MOST_ROWS:
            page = await self._inquire(protocol.ListCache(len(rows)), protocol.CacheListed)
            rows += page.rows
            others = page.others and bool(page.rows)
        return tuple(map(_entry, rows))

    async def flush(self, name: str) -> int:
        """How many answers for `name` and below were forgotten; "." is everything.

        Raises `errors.Invalid` for a bad name.
        """
        whole = query.top(name).canonicalize()
        message = protocol.Flush(name=whole.to_wire() or b"\0")
        return (await self._inquire(message, protocol.Flushed)).count

    async def upstreams(self) -> tuple[Upstream, ...]:
        """The servers that sandboxes ask, or asked since the worker started, and how they did."""
        rows: list[protocol.UpstreamRow] = []
        others = True
        while others and len(rows) < MOST_ROWS:
            page = await self._inquire(protocol.ListUpstreams(len(rows)), protocol.UpstreamsListed)
            rows += page.rows
            others = page.others and bool(page.rows)
        return tuple(map(_upstream, rows))

    async def _inquire(
        self, message: protocol.Question, expected: type[link.Answer]
    ) -> link.Answer:
        connected = await self.launcher.ensure()
        return await connected.inquire(message, expected)


def _entry(row: protocol.CacheRow) -> CacheEntry:
    return CacheEntry(
        name=wire.to_text(row.name),
        rdtype=dns.rdatatype.to_text(dns.rdatatype.RdataType.make(row.kind)),
        rcode=rcode_label(row.rcode),
        records=row.records,
        left_s=row.left_s,
        sandbox=row.sandbox,
        servers=tuple(row.servers),
        flags=tuple(row.flags),
    )


def _zone(name: bytes) -> str:
    return wire.to_text(name).removesuffix(".") or "."


def _upstream(row: protocol.UpstreamRow) -> Upstream:
    return Upstream(
        address=row.address,
        port=row.port,
        sandbox=row.sandbox,
        state=row.state,
        silent=row.silent,
        rtt_ms=row.rtt_ms,
        edns=row.edns,
        keeps_case=row.keeps_case,
        zones=tuple(map(_zone, row.zones)),
        error=row.error,
        error_s=row.error_s,
    )

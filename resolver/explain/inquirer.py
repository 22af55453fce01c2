"""What the DNS worker knows, for people: how it would answer, what it remembers, whom it asks.

In: questions as text. Out: frozen values. Long lists come in pages, so no other talk with the
worker waits for long.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import dns.rdatatype

from resolver import protocol
from resolver.control import launch, link
from resolver.counters import rcode_label
from resolver.explain import query
from resolver.explain.inspection import CacheEntry, Upstream
from resolver.message import wire
from resolver.protocol import Step
from sdd.model import ids

Row = TypeVar("Row")
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

        async def page(after: int) -> tuple[list[protocol.CacheRow], bool]:
            found = await self._inquire(protocol.ListCache(after), protocol.CacheListed)
            return found.rows, found.others

        return tuple(map(_entry, await _all(page)))

    async def flush(self, name: str) -> int:
        """How many answers for `name` and below were forgotten; "." is everything.

        Raises `errors.Invalid` for a bad name.
        """
        whole = query.top(name).canonicalize()
        message = protocol.Flush(name=whole.to_wire() or b"\0")
        return (await self._inquire(message, protocol.Flushed)).count

    async def upstreams(self) -> tuple[Upstream, ...]:
        """The servers that sandboxes ask, or asked since the worker started, and how they did."""

        async def page(after: int) -> tuple[list[protocol.UpstreamRow], bool]:
            found = await self._inquire(protocol.ListUpstreams(after), protocol.UpstreamsListed)
            return found.rows, found.others

        return tuple(map(_upstream, await _all(page)))

    async def _inquire(
        self, message: protocol.Question, expected: type[link.Answer]
    ) -> link.Answer:
        connected = await self.launcher.ensure()
        return await connected.inquire(message, expected)


async def _all(page: Callable[[int], Awaitable[tuple[list[Row], bool]]]) -> list[Row]:
    """The rows of all pages; each says whether there are others."""
    rows: list[Row] = []
    has_others = True
    while has_others and len(rows) < MOST_ROWS:
        found, has_others = await page(len(rows))
        rows += found
        has_others = has_others and bool(found)
    return rows


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

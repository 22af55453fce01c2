"""One message in, one out: parse, look up, render. What both transports share.

In: the bytes of a message and the asking sandbox's scope. Out: the reply's bytes, None for what is
dropped, or what must be asked elsewhere: the `Query`, or the end of an alias. Randomness is passed
in.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from resolver import counters
from resolver.counters import Source
from resolver.message import reasons, wire
from resolver.names import answer, chase

Shuffle = Callable[[int], int]  # n → 0 … n-1
UDP: Final = "udp"
TCP: Final = "tcp"
REASONS: Final = {
    wire.Rcode.FORMERR: "question",
    wire.Rcode.NOTIMP: "opcode",
    wire.Rcode.BADVERS: "edns",
}
MIXED: Final = 2  # records from which on their order matters


class Said(NamedTuple):
    """A reply and what to count for it; making it took `seconds`.

    `steady` means: every asker gets the same bytes.
    """

    reply: bytes
    kind: str
    rcode: str
    source: Source
    steady: bool
    seconds: float = 0.0


def is_special(found: answer.Answer) -> bool:
    """Whether a name was denied for its special use only, which settings can change."""
    return found.source is Source.SPECIAL and found.rcode == wire.Rcode.NXDOMAIN


def _explained(found: answer.Answer) -> tuple[wire.Explain, ...]:
    if found.rcode == wire.Rcode.SERVFAIL:
        return (reasons.ALIASES,)  # of what is known here nothing else fails
    return (reasons.SPECIAL,) if is_special(found) else ()


class Responder:
    """Answers what is known here, and counts."""

    def __init__(self, counts: counters.Counters, shuffle: Shuffle) -> None:
        self._counts = counts
        self._shuffle = shuffle

    def respond(
        self, data: bytes, scope: answer.Scope, *, stream: bool
    ) -> Said | wire.Query | chase.Onward | None:
        """The reply, None to drop, or the question to forward. Never raises for any bytes."""
        begun = time.perf_counter()
        query = wire.parse(data)
        if not isinstance(query, wire.Query):
            return self._refused(data, query)
        kind = counters.type_label(query.kind)
        self._counts.request(scope.label, TCP if stream else UDP, kind)
        found = answer.answer(query, scope)
        if found is None:
            return query
        if found.onward:
            return chase.onward(query, data, found.path, found.onward)
        rcode = counters.rcode_label(found.rcode)
        self._counts.response(scope.label, rcode, found.source)
        records = self._mixed(found.records)
        reply = wire.respond(
            data,
            query,
            found.rcode,
            records,
            owner=found.owner,
            path=found.path,
            beside=found.beside,
            stream=stream,
            authority=found.zone,
            authoritative=found.source is not Source.POLICY,
            explain=_explained(found),
        )
        self._counts.observe(counters.SIZES, TCP if stream else UDP, len(reply))
        seconds = time.perf_counter() - begun
        self._counts.observe(counters.SECONDS, found.source, seconds)
        return Said(reply, kind, rcode, found.source, len(records) < MIXED, seconds)

    def _mixed(self, records: list[bytes]) -> list[bytes]:
        """Another order each time (docker.md N10); a truncated answer then shows all in turn."""
        count = len(records)
        if count < MIXED:
            return records
        mixed = list(records)
        for at in range(count - 1, 0, -1):
            other = self._shuffle(at + 1)
            mixed[at], mixed[other] = mixed[other], mixed[at]
        return mixed

    def _refused(self, data: bytes, rcode: wire.Rcode | None) -> Said | None:
        if rcode is None:
            reason = "short" if len(data) < wire.HEADER else "response"
            self._counts.add(counters.MALFORMED, reason)
            return None
        self._counts.add(counters.MALFORMED, REASONS[rcode])
        return Said(wire.refuse(data, rcode), "other", rcode.name, Source.POLICY, steady=False)

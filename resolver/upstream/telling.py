"""What the client is told of what is known or was found, and what is counted for it.

In: replies of upstreams and of the cache, and whoever asked. Out: the bytes for him,
or what must be asked next for them.
"""

from collections.abc import Callable, Sequence
from typing import Final

from resolver import counters
from resolver.counters import Source
from resolver.message import reasons, reply, wire
from resolver.names import answer, chase, cut, detour
from resolver.upstream import cache
from resolver.upstream.question import Question

STALE_TTL_S: Final = 30
Told = bytes | chase.Onward
# Stand for "not asked": told apart by identity, never sent.
_FAILURE: Final = reply.Reply(b"\0\0\x80\x82" + bytes(8), 12, (), (), 0, None, None)
BUSY: Final = _FAILURE._replace(explain=(reasons.OVERLOADED,))  # too many flights
SHORT: Final = _FAILURE._replace(explain=(reasons.OVERLOADED,))  # too few sockets
REPLACED: Final = _FAILURE._replace(explain=(reasons.REPLACED,))
BARRED: Final = _FAILURE._replace(explain=(reasons.NO_UPSTREAM,))


class Telling:
    """`clock` is monotonic, in seconds; `passes` finds a name of ours that is asked besides."""

    def __init__(
        self,
        counts: counters.Counters,
        clock: Callable[[], float],
        passes: Callable[[Question], detour.Ours | None],
    ) -> None:
        self._counts = counts
        self._clock = clock
        self._passes = passes
        self._turn = 0  # of addresses: each reply begins with the next one (docker.md N10)

    def remembered(
        self, asked: Question, found: reply.Reply, entry: cache.Entry, began: float, *, stream: bool
    ) -> Told:
        """The reply from what is cached as `entry`, or was made of it."""
        said: Told
        if found.rcode == wire.Rcode.SERVFAIL:
            why = reasons.again(found.explain)
            said = self.failed(asked, Source.CACHE, why, stream=stream)
        else:
            said = cut.for_client(
                found,
                asked.data,
                asked.query,
                asked.whole,
                stream=stream,
                aged_s=entry.age_s(self._clock()),
                explain=found.explain,
                turn=self._next(),
            )
            said = self._cut(asked, said, Source.CACHE, stream=stream)
        if isinstance(said, bytes):
            self._counts.hit(cache.kind_of(found))
            self._counts.observe(counters.SECONDS, Source.CACHE, self._clock() - began)
        return said

    def stale(self, asked: Question, entry: cache.Entry, began: float, *, stream: bool) -> Told:
        """The reply from what is over, for want of a better one (RFC 8767)."""
        self._counts.observe(counters.SECONDS, Source.STALE, self._clock() - began)
        self._counts.add(counters.CACHE_STALE, cache.kind_of(entry.reply))
        said = cut.for_client(
            entry.reply,
            asked.data,
            asked.query,
            asked.whole,
            stream=stream,
            ttl_s=STALE_TTL_S,
            explain=(*entry.reply.explain, reasons.STALE),
            turn=self._next(),
        )
        return self._cut(asked, said, Source.STALE, stream=stream)

    def is_worse(self, asked: Question, found: reply.Reply, *, stream: bool) -> bool:
        """Whether an old answer is better than what a flight brought."""
        if found.rcode == wire.Rcode.SERVFAIL:
            return found is not BARRED
        return _is_useless(asked, found, stream=stream)

    def found(self, asked: Question, found: reply.Reply, began: float, *, stream: bool) -> Told:
        """The reply from what a flight brought."""
        if found is BARRED:
            return self.failed(asked, Source.POLICY, found.explain, stream=stream)
        failed = found.rcode == wire.Rcode.SERVFAIL
        source = Source.ERROR if failed else Source.UPSTREAM
        self._counts.observe(counters.SECONDS, source, self._clock() - began)
        if failed:
            return self.failed(asked, Source.ERROR, found.explain, stream=stream)
        if _is_useless(asked, found, stream=stream):
            return self.failed(asked, Source.ERROR, (reasons.CUT,), stream=stream)
        words = (found, asked.data, asked.query, asked.whole)
        said = cut.for_client(*words, stream=stream, explain=found.explain, turn=self._next())
        return self._cut(asked, said, Source.UPSTREAM, stream=stream)

    def failed(
        self, asked: Question, source: Source, explain: Sequence[wire.Explain], *, stream: bool
    ) -> bytes:
        """SERVFAIL, and why.

        Of a search list that leads to a name of ours it is NXDOMAIN: all stubs go on after that,
        musl after nothing else. So it is in a sandbox that is sealed: to ask again changes nothing,
        and musl would do that for 5 s. Without an SOA nobody remembers it (RFC 2308 §5).
        """
        said = self._failure(asked, explain, stream=stream)
        self._count(asked.scope, said, source)
        return said

    def joined(self, asked: Question, path: chase.Onward, rest: bytes, *, stream: bool) -> bytes:
        """The reply to what was asked, with what was said (and counted) of the end of `path`.

        A failure there is one of what was asked.
        """
        if rest[3] & 0xF != wire.Rcode.SERVFAIL:
            return chase.joined(path, rest, stream=stream)
        read = reply.read(rest, path.end.end, dnssec=True, is_checked=True)
        return self._failure(asked, read.explain if read else (), stream=stream)

    def _failure(self, asked: Question, explain: Sequence[wire.Explain], *, stream: bool) -> bytes:
        is_final = reasons.SEALED in explain
        rcode = wire.Rcode.NXDOMAIN if is_final else wire.Rcode.SERVFAIL
        if reasons.PASSING.isdisjoint(explain) and (ours := self._passes(asked)):
            rcode = wire.Rcode.NXDOMAIN
            explain = (*explain, reasons.passed_over(str(ours)))
        return wire.respond(
            asked.data,
            asked.query,
            rcode,
            stream=stream,
            authoritative=False,
            explain=explain,
        )

    def _cut(self, asked: Question, said: Told, source: Source, *, stream: bool) -> Told:
        """What became of an answer, counted; one that leads to no end of ours is a failure."""
        if isinstance(said, bytes) and said[3] & 0xF == wire.Rcode.SERVFAIL:
            return self.failed(asked, source, (reasons.ALIASES,), stream=stream)
        self._count(asked.scope, said, source)
        return said

    def _next(self) -> int:
        self._turn += 1
        return self._turn

    def _count(self, scope: answer.Scope, said: Told, source: Source) -> None:
        """A reply; what must be asked next is counted when that is told."""
        if isinstance(said, bytes):
            self._counts.response(scope.label, counters.rcode_label(said[3] & 0xF), source)


def _is_useless(asked: Question, found: reply.Reply, *, stream: bool) -> bool:
    """Whether nobody could do with it: it was cut, and whoever asks over a stream wants it all."""
    return stream and found.is_cut and not cut.is_of_use(found, asked.query, asked.whole)

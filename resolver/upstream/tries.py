"""One try: a question for one server, over its transport, until a deadline.

In: the client's question and the server. Out: a checked reply or None; what it showed of the
server goes to its `Health`, the counters and the list of what was tried.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

from resolver import counters, protocol
from resolver.message import reply, wire
from resolver.names import answer
from resolver.upstream import cache, forward, sessions, sockets
from resolver.upstream.arrivals import Arrivals
from resolver.upstream.sockets import NoReply, Why

# What speaks against the server itself: the next question would fare no better.
AGAINST: Final = frozenset({Why.TLS, Why.REFUSED, Why.TIMEOUT})
ENCRYPTED: Final = frozenset({"tls", "https", "quic"})
IDENTITY_BITS: Final = 16
CASE_BITS: Final = 64

Bits = Callable[[int], int]  # how many random bits → a number
Dialled = Callable[[str], sockets.Dial | None]


class Question(NamedTuple):
    """What somebody asked, and whom it may be asked on; `key` makes equal questions one."""

    query: wire.Query
    data: bytes
    scope: answer.Scope
    key: cache.Key

    @classmethod
    def of(cls, query: wire.Query, data: bytes, scope: answer.Scope) -> "Question":
        """Sandboxes share what the same servers said, but not what was asked from inside one."""
        flags = data[2] & 0x01 | data[3] & 0x10 | query.dnssec << 1
        key = cache.Key(scope.partition, query.name, query.kind, query.klass, flags)
        return cls(query, data, scope, key)


class Tried(NamedTuple):
    """One exchange with a server, for people who ask what happened."""

    server: str
    transport: str
    seconds: float
    result: str


class Tries:
    """Shared by all flights of a worker; `inside` finds a sandbox's own sockets."""

    def __init__(
        self,
        counts: counters.Counters,
        inside: Dialled,
        streams: sessions.Sessions,
        *,
        clock: Callable[[], float],
        bits: Bits,
    ) -> None:
        self._counts = counts
        self._inside = inside
        self._streams = streams
        self._clock = clock
        self._bits = bits
        self._loop = asyncio.get_running_loop()
        self._arrivals = Arrivals()

    async def one(
        self,
        asked: Question,
        server: protocol.Upstream,
        health: forward.Health,
        tried: list[Tried],
    ) -> reply.Reply | None:
        """What the server says, within `forward.TRY_S`; None when that is nothing to believe."""
        label = self._counts.upstream(server.label)
        dial = self._dial(server, asked.scope)
        if dial is None:
            self._counts.add(counters.UPSTREAM_FAILURES, label, Why.REFUSED)
            return None
        begin = self._clock()
        way = sockets.Way(server, dial, self._arrivals, self._loop.time() + forward.TRY_S)
        try:
            found, transport = await self._exchange(asked, way, health)
        except (NoReply, TimeoutError) as exc:
            why = exc.why if isinstance(exc, NoReply) else Why.TIMEOUT
            if why in AGAINST:
                health.failed(begin, self._clock())
            if why is not Why.LOOP:  # counted when it was seen
                self._counts.add(counters.UPSTREAM_FAILURES, label, why)
            tried.append(Tried(server.label, "", self._clock() - begin, why))
            return None
        now, rcode = self._clock(), counters.rcode_label(found.rcode)
        seconds = now - begin
        health.answered(now, seconds)
        self._counts.took(label, transport, seconds)
        self._counts.add(counters.UPSTREAM_RESPONSES, label, rcode)
        tried.append(Tried(server.label, transport, seconds, rcode))
        return found

    async def _exchange(
        self, asked: Question, way: sockets.Way, health: forward.Health
    ) -> tuple[reply.Reply, str]:
        """A checked reply and its transport; a server without EDNS is asked again without it.

        Only when that helped it is remembered: a server may refuse a question for itself.
        """
        now = self._clock()
        edns = health.takes_edns(now)
        said = await self._said(asked, way, health, edns=edns)
        if not edns or not forward.blames_edns(said[0]):
            return said
        with contextlib.suppress(NoReply, TimeoutError):
            plain = await self._said(asked, way, health, edns=False)
            if forward.helps(plain[0]):
                health.needs_plain(now)
                return plain
        return said

    async def _said(
        self, asked: Question, way: sockets.Way, health: forward.Health, *, edns: bool
    ) -> tuple[reply.Reply, str]:
        loops, server = health.loops, way.server
        is_plain = server.transport == "udp"
        random = self._bits(IDENTITY_BITS + CASE_BITS)
        sent = forward.question(
            asked.data,
            asked.query,
            random >> CASE_BITS,
            random & ((1 << CASE_BITS) - 1) if is_plain and health.mixes() else 0,
            mark=health.mark if edns else None,
            padded=server.transport in ENCRYPTED,
        )
        if is_plain:
            data, transport = await sockets.exchange(way, sent, health, self._suspect)
            age_s = 0
        else:
            data, age_s = await self._streamed(asked, way, sent)
            transport = server.transport
        if health.loops != loops:
            raise NoReply(Why.LOOP)  # what it says, we said
        found = reply.read(data, sent.end, dnssec=asked.query.dnssec)
        if found is None:
            raise NoReply(Why.MISMATCH)
        return reply.aged(found, age_s), transport

    async def _streamed(
        self, asked: Question, way: sockets.Way, sent: forward.Sent
    ) -> sessions.Said:
        """What a server says that is not asked over UDP; raises NoReply."""
        if way.server.transport == "tcp":
            return sessions.Said(await sockets.over_tcp(way, sent))
        said = await self._streams.ask(
            way.dial, way.server, asked.scope.sandbox, sent.message, way.deadline
        )
        # Nothing of a stream could be fetched over another transport: TC is the server's mistake.
        if forward.judge(said.message, sent) in (forward.Trust.FOREIGN, forward.Trust.TRUNCATED):
            raise NoReply(Why.MISMATCH)
        return said

    def _suspect(self, what: counters.Suspect) -> None:
        self._counts.add(counters.SUSPECT, what)

    def _dial(self, server: protocol.Upstream, scope: answer.Scope) -> sockets.Dial | None:
        if server.inside:
            return self._inside(scope.sandbox)
        return sockets.HOST6 if ":" in server.address else sockets.HOST4

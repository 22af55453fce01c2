"""One exchange with a server over its transport, and what it takes to get a whole reply from it.

In: a question, a server and a deadline. Out: a checked reply, or why there is none. Here it is
asked again without EDNS, with another cookie, over TCP; whom to ask else is decided elsewhere.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import msgspec

from resolver import counters, notes, protocol
from resolver.message import reply
from resolver.names import answer, cut
from resolver.upstream import carried, forward, lending, lines, sessions, sockets
from resolver.upstream.arrivals import Hot
from resolver.upstream.carried import Carried, Said
from resolver.upstream.opening import First
from resolver.upstream.question import Question
from resolver.upstream.sockets import NoReply, Why

ENCRYPTED: Final = frozenset({"tls", "https", "quic"})
IDENTITY_BITS: Final = 16
UDP: Final = "udp"
_OUR_QUESTION: Final = frozenset({forward.Trust.GOOD, forward.Trust.TRUNCATED})

Charge = Callable[[str, float], None]  # a sandbox, seconds of the processor
Bits = Callable[[int], int]  # how many random bits → a number
Dialled = Callable[[str, protocol.Upstream], sockets.Dial | None]


class Exchanges:
    """Shared by all tries of a worker; `inside` finds a sandbox's own sockets."""

    def __init__(
        self,
        counts: counters.Counters,
        inside: Dialled,
        streams: sessions.Sessions,
        *,
        clock: Callable[[], float],
        bits: Bits,
        note: notes.Note,
        hot: Hot | None = None,
        charge: Charge = lambda *_: None,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        """`charge` is told for whom a reply was read, and how long that took by `spent`."""
        self._charge, self._spent = charge, spent
        self._counts = counts
        self._inside = inside
        self._streams = streams
        self._clock = clock
        self._bits = bits
        self._note = note
        self._loop = asyncio.get_running_loop()
        self.lines = lines.Lines(self._suspect, hot)

    async def said(
        self,
        asked: Question,
        server: protocol.Upstream,
        health: forward.Health,
        first: First | None,
        until: float,
        *,
        goes_on: Callable[[], bool] = sockets.always,
    ) -> Said:
        """A checked reply; a server without EDNS is asked again without it.

        Only when that helped it is remembered: a server may refuse a question for itself.
        """
        dial = self.dial(server, asked.scope)
        if dial is None:
            raise NoReply(Why.REPLACED, lending.REPLACED)
        if server.transport != UDP:  # a kept connection is replaced, not waited for
            until = min(until, self._loop.time() + forward.TRY_S)
        way = sockets.Way(server, first[0].way.dial if first else dial, until, goes_on)
        now = self._clock()
        edns = health.takes_edns(now)
        said = await self._said(asked, way, health, edns=edns, first=first)
        for transport in (UDP, "tcp"):  # with the cookie that it wants, or none (RFC 7873 §5.3)
            if said.found.rcode == forward.BADCOOKIE:
                again = msgspec.structs.replace(server, transport=transport)
                said = await self._said(asked, way._replace(server=again), health, edns=edns)
                because = carried.OTHER_COOKIE if transport != UDP else said.because
                said = said._replace(because=because)
        if not edns or not forward.blames_edns(said.found):
            return said
        with contextlib.suppress(NoReply):
            plain = await self._said(asked, way, health, edns=False)
            if forward.helps(plain.found):
                health.needs_plain(now)
                return plain
        return said

    async def _said(
        self,
        asked: Question,
        way: sockets.Way,
        health: forward.Health,
        *,
        edns: bool,
        first: First | None = None,
    ) -> Said:
        loops, age_s = first[0].loops if first else health.loops, 0
        if way.server.transport == UDP:
            came = await self._over_udp(asked, way, health, edns=edns, first=first)
        else:
            sent = self.message(asked, health, way.server, edns=edns)
            message, age_s = await self._streamed(asked, way, sent)
            came = Carried(message, sent.end, way.server.transport)
        data, end, transport, lost, because = came
        if health.loops != loops:
            raise NoReply(Why.LOOP)  # what it says, we said
        found = self.read(asked, data, end)
        if found is None:
            raise NoReply(Why.CHAIN if reply.is_endless(data, end) else Why.MISMATCH)
        if lost:
            found = found._replace(is_cut=True)
            if cut.is_bare(found, asked.query, asked.whole):
                raise NoReply(lost)
        whole = cut.of_zone(reply.aged(found, age_s), asked.query, asked.whole)
        return Said(whole, transport, because)

    def read(self, asked: Question, data: bytes, end: int) -> reply.Reply | None:
        """`reply.read`, at the cost of who asked."""
        began = self._spent()
        try:
            return reply.read(data, end, dnssec=asked.query.dnssec)
        finally:
            self._charge(asked.scope.sandbox, self._spent() - began)

    async def _over_udp(
        self,
        asked: Question,
        way: sockets.Way,
        health: forward.Health,
        *,
        edns: bool,
        first: First | None,
    ) -> Carried:
        """A reply.

        What was cut, lost the case of its letters or its cookie, or is guessed at by others, is
        asked for over TCP, once. Without TCP it is better than nothing, or asked again, until a
        server that forgets such things is known for it. What goes wrong on a connection says
        nothing of the next one: a name may take the server long, and askers choose the names.
        """
        lost: Why | None = None
        while True:
            sent, data, trust = await self._datagram(
                asked, way, health, edns=edns, first=first, guarded=not lost
            )
            first = None
            now = self._clock()
            if trust is forward.Trust.BARE:
                return Carried(forward.asked_again(data, sent), sent.end, UDP)
            is_proven = health.cookies.proves(sent.message, data)
            if trust is forward.Trust.GOOD and is_proven:
                return Carried(data, sent.end, UDP)
            because = carried.BECAUSE.get(trust, "")
            if trust in _OUR_QUESTION and not is_proven:
                because = carried.NO_COOKIE
                health.cookies.lost(now)
                self._suspect(counters.Suspect.COOKIE)
            elif trust is not forward.Trust.FORGED:
                health.heard(now)
            if trust is forward.Trust.OTHER_CASE:
                health.case_losses += 1
                self._suspect(counters.Suspect.CASE)
            if not lost and health.has_stream(now):
                _may_go_on(way)
                soon = min(way.deadline, self._loop.time() + forward.STREAM_S)
                short = way._replace(deadline=soon)
                try:
                    whole = await sockets.over_tcp(short, sent)
                    return Carried(whole, sent.end, "tcp", because=because)
                except NoReply as exc:
                    is_ours = exc.why in (Why.SHORT, Why.REPLACED)
                    lost = exc.why if is_ours else Why.TRUNCATED
                    if isinstance(exc, sockets.Unreached):
                        health.lacks_stream(self._clock())
            if trust is forward.Trust.TRUNCATED and is_proven:
                return Carried(data, sent.end, UDP, lost=lost or Why.TRUNCATED)

    async def _datagram(
        self,
        asked: Question,
        way: sockets.Way,
        health: forward.Health,
        *,
        edns: bool,
        first: First | None,
        guarded: bool,
    ) -> tuple[forward.Sent, bytes, forward.Trust]:
        """What was sent, and what came over UDP; raises NoReply.

        `guarded`: it is given up when others guess at it, as far as there is TCP to go on with.
        """
        if first:
            sent, come = first[0].sent, first[1]
            heard = await come if isinstance(come, asyncio.Future) else come
        else:
            _may_go_on(way)
            sent = self.message(asked, health, way.server, edns=edns)
            near = health.near_misses(self._clock()) if guarded else 0
            heard = await self.lines.hear((way.dial, way.server), sent, way.deadline, near=near)
        if isinstance(heard, Why):
            raise NoReply(heard)
        if heard[1] is forward.Trust.FORGED:
            label = self._counts.upstream(way.server.label)
            self._note(f"forged {label}", f"upstream {label}: {carried.FORGED}")
        return sent, *heard

    def message(
        self,
        asked: Question,
        health: forward.Health,
        server: protocol.Upstream,
        *,
        edns: bool,
    ) -> forward.Sent:
        """What is sent to the server for `asked`."""
        case_bits = 8 * len(asked.query.name)
        random = self._bits(IDENTITY_BITS + case_bits)
        is_udp = server.transport == UDP
        return forward.question(
            asked.data,
            asked.query,
            random >> case_bits,
            random if is_udp and health.mixes() else 0,
            mark=health.mark if edns else None,
            cookie=health.cookies.option(self._clock()) if is_udp else b"",
            padded=server.transport in ENCRYPTED,
        )

    async def _streamed(
        self, asked: Question, way: sockets.Way, sent: forward.Sent
    ) -> sessions.Said:
        """What a server says that is not asked over UDP; raises NoReply."""
        _may_go_on(way)
        if way.server.transport == "tcp":
            return sessions.Said(await sockets.over_tcp(way, sent))
        said = await self._streams.ask(
            way.dial, way.server, asked.scope.sandbox, sent.message, way.deadline
        )
        # Nothing of a stream could be fetched over another transport: TC is the server's mistake.
        match forward.judge(said.message, sent):
            case forward.Trust.BARE:
                return said._replace(message=forward.asked_again(said.message, sent))
            case forward.Trust.FOREIGN:
                raise NoReply(Why.MISMATCH)
            case forward.Trust.TRUNCATED:
                raise NoReply(Why.TRUNCATED)
        return said

    def _suspect(self, what: counters.Suspect) -> None:
        self._counts.add(counters.SUSPECT, what)

    def dial(self, server: protocol.Upstream, scope: answer.Scope) -> sockets.Dial | None:
        """Where sockets towards it come from; None where the sandbox has none now."""
        if server.inside:
            return self._inside(scope.sandbox, server)
        return sockets.HOST6 if server.family is protocol.Family.IPV6 else sockets.HOST4


def _may_go_on(way: sockets.Way) -> None:
    """Raises NoReply where nobody who asks may have this server asked any more."""
    if not way.goes_on():
        raise NoReply(Why.REPLACED, lending.REPLACED)

"""One try: a question for one server, over its transport, until a deadline.

In: the client's question and the server. Out: a checked reply or None; what it showed of the
server goes to its `Health`, the counters and the list of what was tried.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from resolver import counters, notes, protocol
from resolver.message import reasons, reply
from resolver.names import cut
from resolver.upstream import carried, forward, looks, sockets
from resolver.upstream.carried import Said
from resolver.upstream.exchange import UDP, Exchanges
from resolver.upstream.opening import First, Opened, Opening
from resolver.upstream.question import Question
from resolver.upstream.sockets import GONE, NoReply, Unproven, Why
from resolver.upstream.tried import Tried

# A question of ours would fare alike, or this one's name made it so.
IN_DOUBT: Final = frozenset({Why.CLOSED, Why.DECLINED})
_TOLD: Final = GONE | {Why.TIMEOUT}  # that nothing comes any more, of what was silent already


class Tries:
    """Shared by all flights of a worker."""

    def __init__(
        self,
        counts: counters.Counters,
        exchanges: Exchanges,
        own: looks.Looks,
        *,
        clock: Callable[[], float],
        note: notes.Note,
    ) -> None:
        self._counts = counts
        self._exchanges = exchanges
        self._looks = own
        self._clock = clock
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)

    def open(
        self,
        asked: Question,
        server: protocol.Upstream,
        health: forward.Health,
        told: Callable[[First], None],
    ) -> bool:
        """Whether the first step of `one` is done; `told` is called once with what came of it.

        What has not come within `forward.LOOK_S` may still come. No task waits meanwhile. Not done
        is what takes more than a datagram.
        """
        dial = self._exchanges.dial(server, asked.scope)
        if server.transport != UDP or dial is None:
            return False
        now = self._clock()
        way = sockets.Way(server, dial, self._loop.time() + forward.LOOK_S)
        sent = self._exchanges.message(asked, health, server, edns=health.takes_edns(now))
        hear = Opened(Opening(sent, now, way, health, health.loops), told).hear
        rest_s, near = forward.TOTAL_S - forward.LOOK_S, health.near_misses(now)
        try:
            self._exchanges.lines.ask((dial, server), sent, way.deadline, hear, rest_s, near=near)
        except NoReply:
            return False  # `one` will hear the same, and count it
        return True

    def plain(
        self,
        asked: Question,
        first: First,
        tried: list[Tried],
    ) -> reply.Reply | None:
        """The reply, if it is as good as any; None when `one` has to go on from `first`."""
        opening, heard = first
        if not isinstance(heard, tuple) or heard[1] is not forward.Trust.GOOD:
            return None
        if not opening.health.cookies.proves(opening.sent.message, heard[0]):
            return None
        found = self._exchanges.read(asked, heard[0], opening.sent.end)
        if found is None or forward.wants_better(found) or opening.health.loops != opening.loops:
            return None
        found = cut.of_zone(found, asked.query, asked.whole)
        self._answered(
            Said(found, UDP),
            health=opening.health,
            server=opening.way.server,
            began=opening.began,
            tried=tried,
        )
        return found

    async def one(
        self,
        asked: Question,
        server: protocol.Upstream,
        health: forward.Health,
        tried: list[Tried],
        first: First | None = None,
        *,
        until: float,
        goes_on: Callable[[], bool],
        quiet: Callable[[], None] = lambda: None,
        unproven: Callable[[], None] = lambda: None,
    ) -> reply.Reply | None:
        """What the server says until `until` (loop's time); None when that is nothing to believe.

        `first` is what came of the first step when that was done already. `quiet` is called when
        nothing came within `forward.TRY_S`; what comes later is taken. Whether that speaks against
        the server shows what it says to a question of ours, from `forward.LOOK_S` on. `unproven` is
        called where its certificate is not believed. `goes_on` tells whether it may be asked on.
        """
        label = self._counts.upstream(server.label)
        began, is_mixed = first[0].began if first else self._clock(), health.mixes()
        is_quiet = False

        def silent() -> None:
            nonlocal is_quiet
            is_quiet = True
            self._fell_short(server, health, NoReply(Why.TIMEOUT), began, tried)
            quiet()

        def look() -> None:
            self._looks.look(server, asked.scope, health, began)

        passed_s = self._clock() - began
        timers = [
            self._loop.call_later(max(0.0, limit_s - passed_s), then)
            for limit_s, then in ((forward.LOOK_S, look), (forward.TRY_S, silent))
        ]
        try:
            said = await self._exchanges.said(asked, server, health, first, until, goes_on=goes_on)
        except NoReply as exc:
            if not is_quiet or exc.why not in _TOLD:
                self._fell_short(server, health, exc, began, tried)
            if exc.why in IN_DOUBT:
                look()
            if isinstance(exc, Unproven):
                unproven()
            if exc.why is Why.TLS:
                self._note(f"tls {label}", f"upstream {label} is not believed: {exc.detail}")
            if exc.why is Why.SHORT and self._exchanges.dial(server, asked.scope):
                self._note("socket", "no socket to ask an upstream with")
            return None
        finally:
            for each in timers:
                each.cancel()
            if is_mixed and not health.mixes():
                self._note(f"case {label}", f"upstream {label} {carried.FORGETS_CASE}")
        self._answered(said, health=health, server=server, began=began, tried=tried)
        return said.found

    def _fell_short(
        self,
        server: protocol.Upstream,
        health: forward.Health,
        failed: NoReply,
        began: float,
        tried: list[Tried],
    ) -> None:
        """Nothing to believe came; whether that speaks against the server."""
        now, why = self._clock(), failed.why
        health.erred(str(failed), now)
        if why in GONE:
            health.failed(began, now)
        if why is not Why.LOOP:  # counted when it was seen
            self._counts.add(counters.UPSTREAM_FAILURES, self._counts.upstream(server.label), why)
        tried.append(Tried(next(self._numbers), server.label, "", now - began, str(failed)))

    def _answered(
        self,
        said: Said,
        *,
        health: forward.Health,
        server: protocol.Upstream,
        began: float,
        tried: list[Tried],
    ) -> None:
        found, transport, because = said
        now, rcode = self._clock(), counters.rcode_label(found.rcode)
        label = self._counts.upstream(server.label)
        seconds = now - began
        health.answered(now, seconds)
        if forward.wants_better(found):
            health.erred("truncated, no TCP" if found.is_cut else rcode, now)
        self._counts.took(label, transport, seconds)
        self._counts.add(counters.UPSTREAM_RESPONSES, label, rcode)
        why = f" ({reasons.told(found.explain)})" if found.explain else ""
        cut = ", cut" if found.is_cut else ""
        if found.dropped:
            cut += f", {found.dropped} records about other names left out"
        tried.append(
            Tried(
                next(self._numbers), server.label, transport, seconds, f"{rcode}{cut}{why}", because
            )
        )

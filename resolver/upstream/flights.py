"""Questions under way: one flight for many askers, its tries in order, what is remembered of it.

In: foreign questions. Out: what the servers said, told to all who asked, and kept in the cache.
Decisions are `forward`'s, the sockets' work is that of `tries`; here is only the order of events.
"""

import asyncio
import functools
import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from resolver import counters
from resolver.message import reasons, reply, wire
from resolver.upstream import (
    anew,
    cache,
    flight,
    forward,
    gate,
    healths,
    holdings,
    race,
    siblings,
    tries,
)
from resolver.upstream.opening import First
from resolver.upstream.question import Question
from resolver.upstream.sockets import Why
from resolver.upstream.telling import BARRED, BUSY, REPLACED, SHORT
from resolver.upstream.tried import Tried

GLOBAL: Final = 1024  # flights at once, all sandboxes together
SPARE: Final = 256  # more, for sandboxes that have only a few
QUEUE: Final = 4096  # and those that wait to be
MOST_TRIED: Final = 256  # flights whose exchanges can be told afterwards
RECHECK_S: Final = 30.0  # RFC 8767 §5: what failed is not asked again sooner
CHANGE_S: Final = 1.0  # a link that goes or comes, and the servers with it, are one change

Spawn = Callable[[Coroutine[None, None, None]], None]


class Flights:
    """All of a worker, by what they ask; `known` is where their answers are kept.

    `sees` gives what a sandbox sees at this moment: a question may have waited, or have come
    through other names, since its scope was right.
    """

    def __init__(
        self,
        counts: counters.Counters,
        known: cache.Cache,
        servers: healths.Healths,
        through: tries.Tries,
        *,
        clock: Callable[[], float],
        spawn: Spawn,
        sees: anew.Sees,
    ) -> None:
        self._counts = counts
        self._sees = sees
        self._known = known
        self._healths = servers
        self._tries = through
        self._clock = clock
        self._spawn = spawn
        self._flights: dict[cache.Key, flight.Flight] = {}
        self.siblings = siblings.Siblings(self._flights, known, clock)
        self._tried: OrderedDict[cache.Key, list[Tried]] = OrderedDict()
        self._gate = gate.Gate(GLOBAL, QUEUE, spare=SPARE)
        self._changed_at: dict[str, float] = {}  # sandbox → when it got other servers or sockets

    def __contains__(self, key: cache.Key) -> bool:
        return key in self._flights

    def tried(self, key: cache.Key) -> tuple[Tried, ...]:
        """The exchanges of the last flight for this question, if it was not long ago."""
        return tuple(self._tried.get(key, ()))

    def join(self, asked: Question, landed: flight.Landed) -> None:
        """`landed` is told by the flight under way for this question, or by a new one."""
        if self._is_barred(asked):
            return landed(BARRED)
        running = self._flights.get(asked.key)
        if running:
            self._counts.add(counters.COALESCED)
        return (running or self._depart(asked)).join(landed, asked.scope.sandbox)

    def leave(self, key: cache.Key, landed: flight.Landed) -> None:
        """`landed` will not be told."""
        if running := self._flights.get(key):
            running.leave(landed)

    def send(self, asked: Question) -> None:
        """Find out, for the cache, unless somebody does."""
        if asked.key not in self._flights and not self._is_barred(asked):
            self._depart(asked)

    def _is_barred(self, asked: Question) -> bool:
        now = self._sees(asked.scope.sandbox)
        return now is not asked.whole and anew.is_barred(asked.key, now)

    def bar(self, gone: AbstractSet[str], changed: AbstractSet[str]) -> None:
        """What is under way for these ends: without a reply from outside, and without more tries.

        Of the `changed` it is what they may have asked no more (CVE-2024-29018: from the host), or
        nobody would hear. Each asker may begin again, with what his sandbox sees now.
        """
        now, concerned = self._clock(), gone | changed
        for sandbox in gone:
            self._changed_at.pop(sandbox, None)
        self._changed_at.update(dict.fromkeys(changed - gone, now))
        for key, each in tuple(self._flights.items()):
            for sandbox in concerned & each.sandboxes:
                if sandbox in gone or anew.is_barred(key, self._sees(sandbox)):
                    self._bar(key, each, sandbox)
                else:
                    each.change()

    def _bar(self, key: cache.Key, barred: flight.Flight, sandbox: str) -> None:
        if barred.sandboxes == {sandbox} and self._flights.get(key) is barred:
            del self._flights[key]  # whoever asks the same from now on is not to end with it
        barred.bar(sandbox, BARRED)
        barred.change()

    def _depart(self, asked: Question) -> flight.Flight:
        """A new flight. Its first step takes no task, nor does its end when that was enough."""
        now = self._clock()
        new = self._flights[asked.key] = flight.Flight(now, asked.scope.sandbox)
        known = [self._healths.of(each, asked.scope) for each in asked.scope.upstreams]
        is_simple = not known[0].silent and not forward.to_probe(known, now)
        if is_simple and self._gate.try_enter(asked.scope.sandbox):
            tried: list[Tried] = []
            told = functools.partial(self._opened, asked, new, tried)
            if self._tries.open(asked, asked.scope.upstreams[0], known[0], told):
                self._remember(asked, tried)
                return new
            self._gate.leave(asked.scope.sandbox)
        self._spawn(self._fly(asked, new))
        return new

    def _opened(
        self,
        asked: Question,
        new: flight.Flight,
        tried: list[Tried],
        first: First,
    ) -> None:
        """What came of the first step: mostly a reply that is as good as any."""
        found: reply.Reply | None = None
        try:
            found = self._tries.plain(asked, first, tried)
        finally:  # also of a defect, which then ends with this question
            if found is None:
                self._spawn(self._fly(asked, new, first, tried))
        if found is None:
            return None
        self._gate.leave(asked.scope.sandbox)
        new.hear(found)
        if found.rcode == wire.Rcode.NXDOMAIN and self.siblings.of(asked.key):
            return self._spawn(self._land_mended(asked, new, found))
        return self._land(asked, new, found)

    async def _fly(
        self,
        asked: Question,
        new: flight.Flight,
        first: First | None = None,
        tried: list[Tried] | None = None,
    ) -> None:
        """The whole way, or all of it behind `first`, which has entered the gate already."""
        nothing = reply.failure(asked.data, asked.query, wire.Rcode.SERVFAIL)
        found: reply.Reply | None = None
        try:
            if first:
                try:
                    found = await self._ask(asked, new, first, tried)
                finally:
                    self._gate.leave(asked.scope.sandbox)
            else:
                found = await self._admitted(asked, new)
            if found and new.goes_on() and self._may_change(asked, found):
                found = await self._changed(asked, new, found)
            new.hear(found)
            found = await self.siblings.mended(asked.key, new.began, found or nothing)
        finally:
            self._land(asked, new, found or nothing)

    async def _land_mended(self, asked: Question, new: flight.Flight, found: reply.Reply) -> None:
        try:
            found = await self.siblings.mended(asked.key, new.began, found)
        finally:
            self._land(asked, new, found)

    def _land(self, asked: Question, new: flight.Flight, found: reply.Reply) -> None:
        """Remember what was found and tell it."""
        key, first = asked.key, asked.scope.sandbox
        if self._flights.get(key) is new:
            del self._flights[key]
        now = self._clock()
        failed = found.rcode == wire.Rcode.SERVFAIL
        if _is_own(found) or (failed and not new.goes_on()):
            pass  # of the world nothing was learned
        elif not failed or self._known.stale(key, now) is None:
            holder = first if first in new.sandboxes else holdings.NOBODY  # else it went
            self._known.put(key, found, now, holder)
        else:
            self._known.postpone(key, now + RECHECK_S)
        new.land(found)

    def _may_change(self, asked: Question, found: reply.Reply) -> bool:
        """Whether nobody could be asked from inside the sandbox, and that is news.

        A link goes before its servers, and comes before its sockets: soon we shall be told.
        """
        scope = asked.scope
        if not anew.is_unasked(found) or not any(each.inside for each in scope.upstreams):
            return False
        if found.rcode == wire.Rcode.SERVFAIL and not _is_own(found):
            known = (self._healths.of(each, scope) for each in scope.upstreams)
            since = max(each.silent_since for each in known)
            return self._clock() < since + CHANGE_S
        return self._clock() < self._changed_at.get(scope.sandbox, -math.inf) + CHANGE_S

    async def _changed(
        self, asked: Question, new: flight.Flight, found: reply.Reply
    ) -> reply.Reply | None:
        """What the servers say once the sandbox has other sockets; `found` if nothing changes."""
        while anew.is_unasked(found):
            if not await new.changed(new.began + CHANGE_S - self._clock()):
                break
            if not new.goes_on() or (again := await self._admitted(asked, new)) is None:
                return None
            found = again
        return found

    async def _admitted(self, asked: Question, new: flight.Flight) -> reply.Reply | None:
        """As `_ask`; BUSY when too many others are under way for too long."""
        if not await self._gate.enter(asked.scope.sandbox):
            self._counts.add(counters.DROPPED, "queue_timeout")
            return BUSY
        try:
            return await self._ask(asked, new)
        finally:
            self._gate.leave(asked.scope.sandbox)

    def _remember(self, asked: Question, tried: list[Tried]) -> None:
        """The exchanges can be told for a while."""
        self._tried[asked.key] = tried
        while len(self._tried) > MOST_TRIED:
            self._tried.popitem(last=False)

    async def _ask(
        self,
        asked: Question,
        new: flight.Flight,
        first: First | None = None,
        tried: list[Tried] | None = None,
    ) -> reply.Reply | None:
        """What the servers say; otherwise a failure that tells what each did.

        None where nobody wants it any more, or may have it asked (CVE-2024-29018).
        """
        if not new.goes_on():
            return None
        servers = asked.scope.upstreams
        known = [self._healths.of(each, asked.scope) for each in servers]
        now = self._clock()
        if tried is None:
            tried = []
            self._remember(asked, tried)
        order = forward.order(known, now)
        for at in forward.to_probe(known, now):
            known[at].probed(now)
            self._spawn(self._probe(asked, new, at, tried))
        left_s = forward.TOTAL_S - (now - new.began)
        one = race.Race(asked, known, tried, self._tries, self._spawn, new.goes_on)
        end = asyncio.get_running_loop().time() + left_s
        found = await one.run(now, end, first)
        if found is None and self._clock() - now >= left_s:
            self._counts.add(counters.DROPPED, "late")
        if found is None and (short := _short(tried)):
            return short
        if found is not None and found.rcode != wire.Rcode.SERVFAIL:
            return found
        poor = found or next(iter(one.poor.values()), None)
        failure = found or reply.failure(asked.data, asked.query, wire.Rcode.SERVFAIL)
        why = reasons.failed((each.server, each.result, each.is_heard) for each in tried)
        said = poor.explain if poor else ()
        # Of a server that is well it is this name's failure, whatever else is heard from there.
        was_said = (
            poor is not None
            or any(each.is_heard for each in tried)
            or not all(known[at].is_doubtful for at in order)
        )
        return failure._replace(explain=(*said, why), was_said=was_said)

    async def _probe(self, asked: Question, of: flight.Flight, at: int, tried: list[Tried]) -> None:
        """Only what it does to the server's health matters."""
        until = asyncio.get_running_loop().time() + forward.TRY_S
        server = asked.scope.upstreams[at]
        health = self._healths.of(server, asked.scope)
        await self._tries.one(asked, server, health, tried, until=until, goes_on=of.goes_on)


def _is_own(found: reply.Reply) -> bool:
    """Whether it is a failure of ours, of which of the world nothing was learned."""
    return found is BUSY or found is SHORT or found is REPLACED


def _short(tried: Sequence[Tried]) -> reply.Reply | None:
    """What it is called where each try was for want of sockets here."""
    if all(each.result == Why.SHORT for each in tried):
        return SHORT
    own = all(each.result == Why.SHORT or each.result.startswith(Why.REPLACED) for each in tried)
    return REPLACED if own else None

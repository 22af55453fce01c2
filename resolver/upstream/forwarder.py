"""A foreign question's way: cache, one flight for many askers, tries in order, the answer.

In: the client's message and its sandbox's scope. Out: the reply for the client, always. Decisions
are `forward`'s, sockets `upstream`'s; here is only the order of events.
"""

import asyncio
import functools
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from typing import Final

from resolver import counters, notes
from resolver.counters import Source
from resolver.message import reasons, reply, wire
from resolver.names import answer, cut
from resolver.upstream import (
    cache,
    flight,
    forward,
    gate,
    healths,
    race,
    sessions,
    siblings,
    telling,
    tries,
)
from resolver.upstream.sockets import Why
from resolver.upstream.telling import BARRED, BUSY
from resolver.upstream.tries import Question

GLOBAL: Final = 1024  # flights at once, all sandboxes together
QUEUE: Final = 4096  # and those that wait to be
WAITING: Final = 16_384  # askers that wait for flights of others, about 1 KiB each
MOST_TRIED: Final = 256  # flights whose exchanges can be told afterwards
PATIENCE_S: Final = 1.8  # then an old answer is better than a late one (RFC 8767 §5)
RECHECK_S: Final = 30.0  # RFC 8767 §5: what failed is not asked again sooner

Spawn = Callable[[Coroutine[None, None, None]], None]
Done = Callable[[bytes], None]

NOBODYS: Final = Question.of(
    wire.Query(b"", 0, 0, 0, 0, False, False),
    bytes(wire.HEADER),
    answer.Scope("", (), frozenset(), ()),
)


class Forwarder:
    """Shared by all listeners of a worker; made within the running event loop.

    `inside` finds a sandbox's own sockets.
    """

    def __init__(
        self,
        counts: counters.Counters,
        inside: tries.Dialled,
        *,
        clock: Callable[[], float],
        bits: tries.Bits,
        spawn: Spawn,
        note: notes.Note = notes.unheard,
    ) -> None:
        self.cache = cache.Cache()
        self.healths = healths.Healths(bits)
        self._counts = counts
        self._telling = telling.Telling(counts, clock)
        self._clock = clock
        self._spawn = spawn
        streams = sessions.Sessions(spawn)
        self._tries = tries.Tries(counts, inside, streams, clock=clock, bits=bits, note=note)
        self._flights: dict[cache.Key, flight.Flight] = {}
        self._siblings = siblings.Siblings(self._flights, self.cache, clock)
        self._tried: OrderedDict[cache.Key, list[tries.Tried]] = OrderedDict()
        self._gate = gate.Gate(GLOBAL, QUEUE)
        self._waiting = 0
        self._last = NOBODYS
        counts.fold(self._sizes)

    def known(self, asked: Question) -> tuple[cache.Entry | None, cache.Entry | None]:
        """The cached answer that is good, and the one that may be given as stale."""
        now = self._clock()
        return self._fresh(asked, now), self.cache.stale(asked.key, now)

    def _fresh(self, asked: Question, now: float) -> cache.Entry | None:
        """The cached answer that is good; a failure is over as soon as a server is heard again."""
        entry = self.cache.get(asked.key, now)
        if entry is None or entry.reply.rcode != wire.Rcode.SERVFAIL or entry.reply.was_said:
            return entry
        known = (self.healths.of(each, asked.scope) for each in asked.scope.upstreams)
        return None if any(each.heard_at > entry.stored for each in known) else entry

    def tried(self, asked: Question) -> tuple[tries.Tried, ...]:
        """The exchanges of the last flight for this question, if it was not long ago."""
        return tuple(self._tried.get(asked.key, ()))

    def recall(
        self, query: wire.Query, data: bytes, scope: answer.Scope, stream: bool
    ) -> bytes | None:
        """The reply for the client when it is known without asking anybody, else None."""
        asked = self._question(query, data, scope)
        now = self._clock()
        if not scope.upstreams:
            said = self._telling.failed(asked, Source.POLICY, (reasons.NO_UPSTREAM,), stream=stream)
            self._counts.observe(counters.SECONDS, Source.POLICY, self._clock() - now)
            return said
        entry = self._fresh(asked, now)
        if entry is None or self._siblings.is_open(asked.key, entry.reply):
            return None
        found = self._siblings.recalled(asked.key, entry.reply)
        return self._telling.remembered(asked, found, entry, now, stream=stream)

    async def _look_again(
        self, asked: Question, entry: cache.Entry, began: float, done: Done, *, stream: bool
    ) -> None:
        """A remembered NXDOMAIN for one of A and AAAA, while nothing is known of the other."""
        other = Question.of(*siblings.other_of(asked.query, asked.data), asked.scope)
        if other.key not in self._flights:
            self._depart(other)
        found = await self._siblings.mended(asked.key, began, entry.reply)
        done(self._telling.remembered(asked, found, entry, began, stream=stream))

    def lasting(self, query: wire.Query, data: bytes, scope: answer.Scope) -> cache.Entry | None:
        """The cached entry of which `recall` made its reply, None where it made it of none."""
        found = self.cache.get(self._question(query, data, scope).key, self._clock())
        # A "no" is looked at anew each second: what it depends on may change.
        is_no = found is None or found.reply.rcode != wire.Rcode.NOERROR
        return found if found and not is_no and not cut.is_ours(found.reply, query, scope) else None

    def _question(self, query: wire.Query, data: bytes, scope: answer.Scope) -> Question:
        """The same one as long as the same is asked: a message is looked at three times."""
        last = self._last
        if last.query is query and last.data is data and last.scope is scope:
            return last
        self._last = Question.of(query, data, scope)
        return self._last

    def joins(self, query: wire.Query, data: bytes, scope: answer.Scope) -> bool:
        """Whether somebody is asking just that already, so that one more costs nothing.

        Not when so many wait already that their memory would count.
        """
        return self._waiting < WAITING and self._question(query, data, scope).key in self._flights

    async def resolve(
        self, query: wire.Query, data: bytes, scope: answer.Scope, stream: bool
    ) -> bytes:
        """The reply for the client; SERVFAIL when nobody gave a better one in time."""
        told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(said: bytes) -> None:
            if not told.done():  # whoever asked may have gone
                told.set_result(said)

        self.begin(query, data, scope, stream, done)
        return await told

    def begin(
        self, query: wire.Query, data: bytes, scope: answer.Scope, stream: bool, done: Done
    ) -> None:
        """`done` is called with the reply, once: now, or when somebody gave one."""
        if known := self.recall(query, data, scope, stream):
            return done(known)
        self._counts.add(counters.CACHE_REQUESTS)
        asked, began = self._question(query, data, scope), self._clock()
        if self._came_back(asked):
            return done(self._telling.failed(asked, Source.ERROR, (reasons.LOOP,), stream=stream))
        if entry := self._fresh(asked, began):
            return self._spawn(self._look_again(asked, entry, began, done, stream=stream))
        stale = self.cache.stale(asked.key, began)
        if stale and self._is_hopeless(asked, stale, began):
            return done(self._telling.stale(asked, stale, began, stream=stream))
        if stale:
            return self._patient(asked, stale, began, done, stream=stream)
        self._waiting += 1

        def landed(found: reply.Reply) -> None:
            self._waiting -= 1
            done(self._telling.found(asked, found, began, stream=stream))

        return self._join(asked, landed)

    def _is_hopeless(self, asked: Question, stale: cache.Entry, now: float) -> bool:
        """Whether an old answer is given without waiting: nothing better can be expected.

        Once it was given for want of a better one, that is so for 30 s (RFC 8767 §5), and as long
        as no server answers; then somebody finds out every 30 s, behind it.
        """
        if now < stale.recheck:
            return True
        known = [self.healths.of(each, asked.scope) for each in asked.scope.upstreams]
        if any(each.state(now) is forward.State.UP for each in known):
            return False
        self.cache.postpone(asked.key, now + RECHECK_S)
        if asked.key not in self._flights:
            self._depart(asked)
        return True

    def _patient(
        self, asked: Question, stale: cache.Entry, began: float, done: Done, *, stream: bool
    ) -> None:
        """The reply, or the old answer when it is late or none (RFC 8767)."""
        self._waiting += 1

        def landed(found: reply.Reply) -> None:
            self._waiting -= 1
            late.cancel()
            if found.rcode == wire.Rcode.SERVFAIL and found is not BARRED:
                done(self._telling.stale(asked, stale, began, stream=stream))
            else:
                done(self._telling.found(asked, found, began, stream=stream))

        def is_late() -> None:
            self._waiting -= 1
            self.cache.postpone(asked.key, self._clock() + RECHECK_S)
            if running := self._flights.get(asked.key):
                running.leave(landed)
            done(self._telling.stale(asked, stale, began, stream=stream))

        late = asyncio.get_running_loop().call_later(PATIENCE_S, is_late)
        self._join(asked, landed)

    def _join(self, asked: Question, landed: flight.Landed) -> None:
        """`landed` is told by the flight under way for this question, or by a new one."""
        running = self._flights.get(asked.key)
        if running:
            self._counts.add(counters.COALESCED)
        (running or self._depart(asked)).join(landed, asked.scope.sandbox)

    def bar(self, sandboxes: AbstractSet[str]) -> None:
        """What is under way for these ends: without a reply from outside, and without more tries.

        They are gone, or may ask nobody from the host any more (CVE-2024-29018).
        """
        for each in tuple(self._flights.values()):
            for sandbox in sandboxes & each.sandboxes:
                each.bar(sandbox, BARRED)

    def _depart(self, asked: Question) -> flight.Flight:
        """A new flight. Its first step takes no task, nor does its end when that was enough."""
        now = self._clock()
        new = self._flights[asked.key] = flight.Flight(now, asked.scope.sandbox)
        known = [self.healths.of(each, asked.scope) for each in asked.scope.upstreams]
        is_simple = not known[0].silent and not forward.to_probe(known, now)
        if is_simple and self._gate.try_enter():
            tried: list[tries.Tried] = []
            told = functools.partial(self._opened, asked, new, tried)
            if self._tries.open(asked, asked.scope.upstreams[0], known[0], told):
                self._remember(asked, tried)
                return new
            self._gate.leave()
        self._spawn(self._fly(asked, new))
        return new

    def _opened(
        self,
        asked: Question,
        new: flight.Flight,
        tried: list[tries.Tried],
        first: tries.First,
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
        self._gate.leave()
        new.hear(found)
        if found.rcode == wire.Rcode.NXDOMAIN and self._siblings.of(asked.key):
            return self._spawn(self._land_mended(asked.key, new, found))
        return self._land(asked.key, new, found)

    async def _fly(
        self,
        asked: Question,
        new: flight.Flight,
        first: tries.First | None = None,
        tried: list[tries.Tried] | None = None,
    ) -> None:
        """The whole way, or all of it behind `first`, which has entered the gate already."""
        nothing = reply.failure(asked.data, asked.query, wire.Rcode.SERVFAIL)
        found: reply.Reply | None = None
        try:
            if first:
                try:
                    found = await self._ask(asked, new, first, tried)
                finally:
                    self._gate.leave()
            else:
                found = await self._admitted(asked, new)
            new.hear(found)
            found = await self._siblings.mended(asked.key, new.began, found or nothing)
        finally:
            self._land(asked.key, new, found or nothing)

    async def _land_mended(self, key: cache.Key, new: flight.Flight, found: reply.Reply) -> None:
        try:
            found = await self._siblings.mended(key, new.began, found)
        finally:
            self._land(key, new, found)

    def _land(self, key: cache.Key, new: flight.Flight, found: reply.Reply) -> None:
        """Remember what was found and tell it."""
        del self._flights[key]
        now = self._clock()
        failed = found.rcode == wire.Rcode.SERVFAIL
        if found is BUSY or (failed and not new.goes_on()):
            pass  # of the world nothing was learned
        elif not failed or self.cache.stale(key, now) is None:
            self.cache.put(key, found, now)
        else:
            self.cache.postpone(key, now + RECHECK_S)
        new.land(found)

    async def _admitted(self, asked: Question, new: flight.Flight) -> reply.Reply | None:
        """As `_ask`; BUSY when too many others are under way for too long."""
        if not self._gate.try_enter() and not await self._gate.enter():
            self._counts.add(counters.DROPPED, "queue_timeout")
            return BUSY
        try:
            return await self._ask(asked, new)
        finally:
            self._gate.leave()

    def _came_back(self, asked: Question) -> bool:
        """Whether this is a question of ours: then the server that was asked forwards to us."""
        marked = self.healths.marked(wire.option(asked.data, asked.query, forward.MARK))
        if marked is None:
            return False
        server, health = marked
        health.looped(self._clock())
        label = self._counts.upstream(server.label)
        self._counts.add(counters.UPSTREAM_FAILURES, label, Why.LOOP)
        return True

    def _remember(self, asked: Question, tried: list[tries.Tried]) -> None:
        """The exchanges can be told for a while."""
        self._tried[asked.key] = tried
        while len(self._tried) > MOST_TRIED:
            self._tried.popitem(last=False)

    async def _ask(
        self,
        asked: Question,
        new: flight.Flight,
        first: tries.First | None = None,
        tried: list[tries.Tried] | None = None,
    ) -> reply.Reply | None:
        """What the servers say; otherwise a failure that tells what each did."""
        servers = asked.scope.upstreams
        known = [self.healths.of(each, asked.scope) for each in servers]
        now = self._clock()
        if tried is None:
            tried = []
            self._remember(asked, tried)
        for at in forward.to_probe(known, now):
            known[at].probed(now)
            self._spawn(self._probe(asked, at, known[at], tried))
        left_s = forward.TOTAL_S - (now - first[0].began if first else 0.0)
        one = race.Race(asked, known, tried, self._tries, self._spawn, new.goes_on)
        end = asyncio.get_running_loop().time() + left_s
        found = await one.run(now, end, first)
        if found is None and self._clock() - now >= left_s:
            self._counts.add(counters.DROPPED, "late")
        if found is None and all(each.result == Why.SHORT for each in tried):
            return BUSY
        if found is not None and found.rcode != wire.Rcode.SERVFAIL:
            return found
        poor = found or next(iter(one.poor.values()), None)
        failure = found or reply.failure(asked.data, asked.query, wire.Rcode.SERVFAIL)
        why = reasons.failed((each.server, each.result, bool(each.transport)) for each in tried)
        said = poor.explain if poor else ()
        return failure._replace(explain=(*said, why), was_said=poor is not None)

    async def _probe(
        self, asked: Question, at: int, health: forward.Health, tried: list[tries.Tried]
    ) -> None:
        """Only what it does to `health` matters."""
        until = asyncio.get_running_loop().time() + forward.TRY_S
        await self._tries.one(asked, asked.scope.upstreams[at], health, tried, until=until)

    def _sizes(self) -> list[tuple[tuple[str, ...], float]]:
        now = self._clock()
        up: dict[str, bool] = {}
        for (server, _), health in self.healths.items():
            label = self._counts.upstream(server.label)
            up[label] = up.get(label, False) or health.state(now) is forward.State.UP
        return [
            *(((counters.CACHE_ENTRIES, kind), count) for kind, count in self.cache.kinds.items()),
            ((counters.CACHE_BYTES,), self.cache.bytes),
            *(((counters.CACHE_EVICTED, kind), n) for kind, n in self.cache.evicted.items()),
            *(((counters.UPSTREAM_UP, label), is_up) for label, is_up in up.items()),
        ]

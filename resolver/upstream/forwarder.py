"""A foreign question's way: cache, a flight that others may have begun, the answer.

In: the client's message and its sandbox's scope. Out: the reply for the client, always: what the
flight brought, or what its asker goes on with when that is late or nothing.
"""

import asyncio
import functools
import math
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from typing import Final

from resolver import counters, notes
from resolver.counters import Source
from resolver.message import reasons, reply, wire
from resolver.names import answer, cut, detour
from resolver.upstream import (
    anew,
    bucket,
    cache,
    exchange,
    flights,
    forward,
    healths,
    legs,
    looks,
    sessions,
    siblings,
    telling,
    tries,
    waiting,
)
from resolver.upstream.arrivals import Hot
from resolver.upstream.question import Question
from resolver.upstream.sockets import Why
from resolver.upstream.tried import Tried

WAITING: Final = 16_384  # askers that wait for flights of others, about 1 KiB each
FAILED_S: Final = 1.0  # RFC 9520 §3.2: no failure is forgotten sooner
PATIENCE_S: Final = 1.8  # then an old answer is better than a late one (RFC 8767 §5)

Spawn = Callable[[Coroutine[None, None, None]], None]
Done = Callable[[bytes], None]
Tell = Callable[[telling.Told], None]

NOBODYS: Final = Question.of(
    wire.Query(b"", 0, 0, 0, 0, False, False),
    bytes(wire.HEADER),
    answer.Scope("", (), frozenset(), ()),
)


class Forwarder:
    """Shared by all listeners of a worker; made within the running event loop.

    `inside` finds a sandbox's own sockets, `sees` what it sees now, and so whom it may ask.
    `hot` watches for answers, else the loop does.
    """

    def __init__(
        self,
        counts: counters.Counters,
        inside: exchange.Dialled,
        *,
        clock: Callable[[], float],
        bits: exchange.Bits,
        spawn: Spawn,
        sees: anew.Sees,
        note: notes.Note = notes.unheard,
        hot: Hot | None = None,
    ) -> None:
        self.cache = cache.Cache()
        self.healths = healths.Healths(bits)
        self.buckets = bucket.Buckets()
        self._counts = counts
        self._telling = telling.Telling(counts, clock, self._passes)
        self._clock = clock
        self._spawn = spawn
        self._sees = sees
        self._streams = sessions.Sessions(spawn)
        exchanges = exchange.Exchanges(
            counts,
            inside,
            self._streams,
            clock=clock,
            bits=bits,
            note=note,
            hot=hot,
            charge=self.buckets.charge,
        )
        own = looks.Looks(exchanges, clock=clock, spawn=spawn, leaves=self._leaves)
        through = tries.Tries(counts, exchanges, own, clock=clock, note=note)
        self._flights = flights.Flights(
            counts, self.cache, self.healths, through, clock=clock, spawn=spawn, sees=sees
        )
        self._siblings = self._flights.siblings
        self._waiting = 0
        self._last, self._last_scope = NOBODYS, NOBODYS.scope
        counts.fold(self._sizes)

    def known(self, asked: Question) -> tuple[cache.Entry | None, cache.Entry | None]:
        """The cached answer that is good, and the one that may be given as stale."""
        now = self._clock()
        return self._fresh(asked, now), self.cache.stale(asked.key, now)

    def _fresh(self, asked: Question, now: float) -> cache.Entry | None:
        """The cached answer that is good.

        A failure for want of servers is over when one is heard again, but no sooner than a second
        after it was known (RFC 9520 §3.2).
        """
        entry = self.cache.get(asked.key, now)
        if entry is None or entry.reply.rcode != wire.Rcode.SERVFAIL or entry.reply.was_said:
            return entry
        if now < entry.stored + FAILED_S:
            return entry
        known = (self.healths.of(each, asked.scope) for each in asked.scope.upstreams)
        return None if any(each.heard_at > entry.stored for each in known) else entry

    def tried(self, asked: Question) -> tuple[Tried, ...]:
        """The exchanges of the last flight for this question, if it was not long ago."""
        return self._flights.tried(asked.key)

    def _leaves(self, sandbox: str) -> bool:
        now = self._sees(sandbox)
        return now is not None and now.leaves_host

    def bar(self, gone: AbstractSet[str], changed: AbstractSet[str]) -> None:
        """As `flights.Flights.bar`; nothing is kept of the servers inside those that are gone.

        That is also what a sandbox was until it got another namespace.
        """
        self.healths.forget(gone)
        self._streams.forget(gone)
        if gone:
            self.cache.forget(gone)
        self._flights.bar(gone, changed)

    def recall(
        self,
        query: wire.Query,
        data: bytes,
        scope: answer.Scope,
        stream: bool,
        *,
        before: legs.Before = (),
    ) -> bytes | None:
        """The reply for the client when it is known without asking anybody, else None.

        `before` are the names of others that the aliases led through.
        """
        asked = self._question(query, data, scope)
        now = self._clock()
        if not asked.scope.upstreams:
            said = self._telling.failed(asked, Source.POLICY, (asked.whole.nobody,), stream=stream)
            self._counts.observe(counters.SECONDS, Source.POLICY, self._clock() - now)
            return said
        entry = self._fresh(asked, now)
        if entry is None or self._siblings.is_open(asked.key, entry.reply):
            return None
        found = self._siblings.recalled(asked.key, entry.reply)
        told = self._telling.remembered(asked, found, entry, now, stream=stream)
        if isinstance(told, bytes):
            return told
        if why := legs.astray(told, asked, before):
            return self._telling.failed(asked, Source.ERROR, (why,), stream=stream)
        passed = (*before, query.name)
        rest = self.recall(told.end, told.message, scope.straight, True, before=passed)
        return self._telling.joined(asked, told, rest, stream=stream) if rest else None

    def _go_on(
        self, asked: Question, scope: answer.Scope, way: legs.Way, done: Done, told: telling.Told
    ) -> None:
        """`done` with the reply; where aliases lead out of our names again, with the rest of it."""
        if isinstance(told, bytes):
            return done(told)
        if why := legs.astray(told, asked, way.before):
            return done(self._telling.failed(asked, Source.ERROR, (why,), stream=way.stream))

        def joined(rest: bytes) -> None:
            done(self._telling.joined(asked, told, rest, stream=way.stream))

        onward = legs.Way(True, (*way.before, asked.query.name), way.until)
        return self._begin(told.end, told.message, scope.straight, joined, onward)

    async def _look_again(
        self, asked: Question, entry: cache.Entry, began: float, done: Tell, *, stream: bool
    ) -> None:
        """A remembered NXDOMAIN for one of A and AAAA, while nothing is known of the other."""
        other = Question.of(*siblings.other_of(asked.query, asked.data), asked.whole)
        self._flights.send(other)
        found = await self._siblings.mended(asked.key, began, entry.reply)
        done(self._telling.remembered(asked, found, entry, began, stream=stream))

    def lasting(self, query: wire.Query, data: bytes, scope: answer.Scope) -> cache.Entry | None:
        """The cached entry of which `recall` made its reply, None where it made it of none."""
        found = self.cache.get(self._question(query, data, scope).key, self._clock())
        # A "no" is looked at anew each second: what it depends on may change.
        is_no = found is None or found.reply.rcode != wire.Rcode.NOERROR
        return found if found and not is_no and not cut.cuts(found.reply, query, scope) else None

    def stays(self, query: wire.Query, data: bytes, scope: answer.Scope, seconds: float) -> bool:
        """Whether `recall` says the same for so long, unless servers or names of ours change."""
        for _ in range(legs.MOST):
            asked = self._question(query, data, scope)
            entry = self.cache.get(asked.key, self._clock())
            if entry is None:
                return True
            if not self._siblings.holds(asked.key, entry, seconds):
                return False
            if not cut.cuts(entry.reply, query, scope):
                return True
            rest = cut.for_client(entry.reply, data, query, scope, stream=True)
            if isinstance(rest, bytes):
                return True
            query, data, scope = rest.end, rest.message, scope.straight
        return True

    def _question(self, query: wire.Query, data: bytes, scope: answer.Scope) -> Question:
        """The same one as long as the same is asked: a message is looked at three times."""
        last = self._last
        if last.query is query and last.data is data and self._last_scope is scope:
            return last
        self._last, self._last_scope = Question.of(query, data, scope), scope
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
        if known := self.recall(query, data, scope, stream):
            return known
        told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(said: bytes) -> None:
            if not told.done():  # whoever asked may have gone
                told.set_result(said)

        self.begin(query, data, scope, stream, done)
        return await told

    def begin(
        self,
        query: wire.Query,
        data: bytes,
        scope: answer.Scope,
        stream: bool,
        done: Done,
    ) -> None:
        """`done` is called with the reply, once: now, or when somebody gave one.

        Of this question `recall` has known nothing just now.
        """
        self._find_out(query, data, scope, done, legs.Way(stream, (), math.inf))

    def _begin(
        self, query: wire.Query, data: bytes, scope: answer.Scope, done: Done, way: legs.Way
    ) -> None:
        if known := self.recall(query, data, scope, way.stream, before=way.before):
            return done(known)
        return self._find_out(query, data, scope, done, way)

    def _find_out(
        self, query: wire.Query, data: bytes, scope: answer.Scope, done: Done, way: legs.Way
    ) -> None:
        self._counts.add(counters.CACHE_REQUESTS)
        asked, began = self._question(query, data, scope), self._clock()
        # All names that one question leads to share its time.
        ends = way._replace(until=min(way.until, began + forward.TOTAL_S))
        told = functools.partial(self._go_on, asked, scope, ends, done)

        def ended(found: reply.Reply) -> reply.Reply | None:
            """What a failed flight comes to; None: it begins again, which tells `done`."""
            late = self._clock() >= ends.until
            then = anew.then(asked, found, self._sees(scope.sandbox), is_late=late)
            if isinstance(then, reply.Reply):
                return then
            self._find_out(query, data, then, done, ends)
            return None

        return self._find(asked, began, legs.Ends(told, ended), way)

    def _find(self, asked: Question, began: float, ends: legs.Ends, way: legs.Way) -> None:
        """`ends` are told of the cache, or of a flight."""
        stream, done = way.stream, ends.tell
        if self._came_back(asked):
            return done(self._telling.failed(asked, Source.ERROR, (reasons.LOOP,), stream=stream))
        if (entry := self._fresh(asked, began)) and not self._siblings.is_open(
            asked.key, entry.reply
        ):
            found = self._siblings.recalled(asked.key, entry.reply)
            return done(self._telling.remembered(asked, found, entry, began, stream=stream))
        if entry:
            return self._spawn(self._look_again(asked, entry, began, done, stream=stream))
        stale = self.cache.stale(asked.key, began)
        if stale and self._is_hopeless(asked, stale, began):
            return done(self._telling.stale(asked, stale, began, stream=stream))
        if stale or way.until < math.inf or self._passes(asked):
            return self._patient(asked, stale, began, ends, way)
        self._waiting += 1

        def landed(found: reply.Reply) -> None:
            self._waiting -= 1
            said = ends.after(found) if found.rcode == wire.Rcode.SERVFAIL else found
            if said:
                done(self._telling.found(asked, said, began, stream=stream))

        return self._flights.join(asked, landed)

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
        self.cache.postpone(asked.key, now + flights.RECHECK_S)
        self._flights.send(asked)
        return True

    def _patient(
        self,
        asked: Question,
        stale: cache.Entry | None,
        began: float,
        ends: legs.Ends,
        way: legs.Way,
    ) -> None:
        """The reply; when it is late or none, the old answer (RFC 8767), or that there is none."""
        self._waiting += 1
        stream, most_s = way.stream, way.until - began

        def landed(found: reply.Reply) -> None:
            self._waiting -= 1
            late.cancel()
            said = ends.after(found) if found.rcode == wire.Rcode.SERVFAIL else found
            if said and stale and self._telling.is_worse(asked, said, stream=stream):
                ends.tell(self._telling.stale(asked, stale, began, stream=stream))
            elif said:
                ends.tell(self._telling.found(asked, said, began, stream=stream))

        def is_late() -> None:
            if most_s >= self._patience_s(asked, stale):  # else too little was left to find out
                self.cache.postpone(asked.key, self._clock() + flights.RECHECK_S)
            self._flights.leave(asked.key, landed)
            nothing = reply.failure(asked.data, asked.query, wire.Rcode.SERVFAIL)
            is_behind = way.before and most_s < forward.TOTAL_S - forward.TRY_S
            why = reasons.TOO_SLOW if is_behind else reasons.TOO_LATE
            landed(nothing._replace(explain=(why,)))

        late = waiting.Waiting(lambda: min(most_s, self._patience_s(asked, stale)), is_late)
        self._flights.join(asked, landed)

    def patience_s(self, asked: Question) -> float:
        """How long whoever asks for a name of ours besides waits for its answer."""
        known = [self.healths.of(each, asked.scope) for each in asked.scope.upstreams]
        return forward.patience_s(known, self._clock())

    def _patience_s(self, asked: Question, stale: cache.Entry | None) -> float:
        most_s = PATIENCE_S if stale else forward.TOTAL_S
        return min(most_s, self.patience_s(asked)) if self._passes(asked) else most_s

    def _passes(self, asked: Question) -> detour.Ours | None:
        """The name of ours that a stub asks besides if this one is not there, if any."""
        ours = detour.beside(asked.query, asked.scope)
        return None if ours and self._siblings.is_there(asked.key) else ours

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

    def _sizes(self) -> list[tuple[tuple[str, ...], float]]:
        now = self._clock()
        self.cache.tidy(now)
        return [
            *(((counters.CACHE_ENTRIES, kind), count) for kind, count in self.cache.kinds.items()),
            ((counters.CACHE_BYTES,), self.cache.bytes),
            *(((counters.CACHE_EVICTED, kind), n) for kind, n in self.cache.evicted.items()),
        ]

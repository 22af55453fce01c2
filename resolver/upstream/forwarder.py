"""A foreign question's way: cache, one flight for many askers, tries in order, the answer.

In: the client's message and its sandbox's scope. Out: the reply for the client, always. Decisions
are `forward`'s, sockets `upstream`'s; here is only the order of events.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Final

from resolver import counters, protocol
from resolver.counters import Source
from resolver.message import reasons, reply, wire
from resolver.names import answer
from resolver.upstream import cache, forward, gate, race, sessions, tries
from resolver.upstream.sockets import Why
from resolver.upstream.tries import Question

GLOBAL: Final = 1024  # flights at once, all sandboxes together
QUEUE: Final = 4096  # and those that wait to be
WAITING: Final = 16_384  # askers that wait for flights of others, about 1 KiB each
MOST_TRIED: Final = 256  # flights whose exchanges can be told afterwards
MOST_HEALTHS: Final = 4096
PATIENCE_S: Final = 1.8  # then an old answer is better than a late one (RFC 8767 §5)
STALE_TTL_S: Final = 30
FAMILIES: Final = {wire.A: wire.AAAA, wire.AAAA: wire.A}

Spawn = Callable[[Coroutine[None, None, None]], None]
Done = Callable[[bytes], None]

# Stands for "not asked": told apart by identity, never sent.
BUSY: Final = reply.Reply(b"\0\0\x80\x82" + bytes(8), 12, (), (), 0, None, None)


class Forwarder:
    """Shared by all listeners of a worker; `inside` finds a sandbox's own sockets.

    Made within the running event loop.
    """

    def __init__(
        self,
        counts: counters.Counters,
        inside: tries.Dialled,
        *,
        clock: Callable[[], float],
        bits: tries.Bits,
        spawn: Spawn,
    ) -> None:
        self.cache = cache.Cache()
        self.healths: dict[tuple[protocol.Upstream, str], forward.Health] = {}
        self._counts = counts
        self._clock = clock
        self._bits = bits
        self._spawn = spawn
        streams = sessions.Sessions(spawn)
        self._tries = tries.Tries(counts, inside, streams, clock=clock, bits=bits)
        self._flights: dict[cache.Key, asyncio.Future[reply.Reply]] = {}
        self._heard: dict[cache.Key, asyncio.Future[reply.Reply | None]] = {}
        self._tried: OrderedDict[cache.Key, list[tries.Tried]] = OrderedDict()
        self._gate = gate.Gate(GLOBAL, QUEUE)
        self._waiting = 0
        self._marks: dict[bytes, tuple[protocol.Upstream, forward.Health]] = {}
        counts.fold(self._sizes)

    def known(self, asked: Question) -> tuple[cache.Entry | None, cache.Entry | None]:
        """The cached answer that is good, and the one that may be given as stale."""
        now = self._clock()
        return self.cache.get(asked.key, now), self.cache.stale(asked.key, now)

    def tried(self, asked: Question) -> tuple[tries.Tried, ...]:
        """The exchanges of the last flight for this question, if it was not long ago."""
        return tuple(self._tried.get(asked.key, ()))

    def recall(
        self, query: wire.Query, data: bytes, scope: answer.Scope, stream: bool
    ) -> bytes | None:
        """The reply for the client when it is known without asking anybody, else None."""
        asked = Question.of(query, data, scope)
        if not scope.upstreams:
            return self._failed(asked, Source.POLICY, reasons.NO_UPSTREAM, stream=stream)
        now = self._clock()
        entry = self.cache.get(asked.key, now)
        if entry is None:
            return None
        self._count(scope, entry.reply.rcode, Source.CACHE)
        failed = entry.reply.rcode == wire.Rcode.SERVFAIL
        return reply.for_client(
            entry.reply,
            data,
            query,
            stream=stream,
            aged_s=entry.age_s(now),
            explain=reasons.FAILED_BEFORE if failed else None,
        )

    def joins(self, query: wire.Query, data: bytes, scope: answer.Scope) -> bool:
        """Whether somebody is asking just that already, so that one more costs nothing.

        Not when so many wait already that their memory would count.
        """
        return self._waiting < WAITING and Question.of(query, data, scope).key in self._flights

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
        asked, began = Question.of(query, data, scope), self._clock()
        if self._came_back(asked):
            return done(self._failed(asked, Source.ERROR, reasons.LOOP, stream=stream))
        flight = self._flight(asked)
        if stale := self.cache.stale(asked.key, began):
            return self._spawn(self._patient(asked, flight, stale, began, done, stream=stream))
        self._waiting += 1

        def landed(flight: "asyncio.Future[reply.Reply]") -> None:
            self._waiting -= 1
            done(self._told(asked, flight.result(), began, stream=stream))

        return flight.add_done_callback(landed)

    async def _patient(
        self,
        asked: Question,
        flight: "asyncio.Future[reply.Reply]",
        stale: cache.Entry,
        began: float,
        done: Done,
        *,
        stream: bool,
    ) -> None:
        """The reply, or the old answer when it is late or none (RFC 8767)."""
        self._waiting += 1
        await asyncio.wait((flight,), timeout=PATIENCE_S)
        self._waiting -= 1
        found = flight.result() if flight.done() else None
        if found is not None and found.rcode != wire.Rcode.SERVFAIL:
            return done(self._told(asked, found, began, stream=stream))
        self._counts.observe(counters.SECONDS, Source.STALE, self._clock() - began)
        self._count(asked.scope, stale.reply.rcode, Source.STALE)
        return done(
            reply.for_client(
                stale.reply,
                asked.data,
                asked.query,
                stream=stream,
                ttl_s=STALE_TTL_S,
                explain=reasons.STALE,
            )
        )

    def _told(self, asked: Question, found: reply.Reply, began: float, *, stream: bool) -> bytes:
        """The client's reply from what a flight brought."""
        failed = found.rcode == wire.Rcode.SERVFAIL
        source = Source.ERROR if failed else Source.UPSTREAM
        self._counts.observe(counters.SECONDS, source, self._clock() - began)
        if failed:
            why = reasons.OVERLOADED if found is BUSY else reasons.UNREACHABLE
            return self._failed(asked, Source.ERROR, why, stream=stream)
        self._count(asked.scope, found.rcode, Source.UPSTREAM)
        return reply.for_client(found, asked.data, asked.query, stream=stream)

    def _count(self, scope: answer.Scope, rcode: int, source: Source) -> None:
        self._counts.response(scope.label, counters.rcode_label(rcode), source)

    def _failed(
        self, asked: Question, source: Source, explain: wire.Explain, *, stream: bool
    ) -> bytes:
        self._count(asked.scope, wire.Rcode.SERVFAIL, source)
        return wire.respond(
            asked.data,
            asked.query,
            wire.Rcode.SERVFAIL,
            stream=stream,
            authoritative=False,
            explain=explain,
        )

    def _flight(self, asked: Question) -> "asyncio.Future[reply.Reply]":
        """The one that is under way for this question, or a new one.

        It belongs to nobody: an asker that gives up takes no answer away, and what comes later
        than he waits is still remembered for the next one.
        """
        key = asked.key
        if running := self._flights.get(key):
            self._counts.add(counters.COALESCED)
            return running
        future: asyncio.Future[reply.Reply] = asyncio.get_running_loop().create_future()
        self._flights[key] = future
        self._spawn(self._fly(asked, key, future))
        return future

    async def _fly(
        self, asked: Question, key: cache.Key, future: "asyncio.Future[reply.Reply]"
    ) -> None:
        nothing = reply.failure(asked.data, asked.query, wire.Rcode.SERVFAIL)
        found: reply.Reply | None = None
        heard = self._heard[key] = asyncio.get_running_loop().create_future()
        try:
            found = await self._admitted(asked)
            heard.set_result(found)
            found = await self._mended(key, found)
        finally:
            if not heard.done():
                heard.set_result(None)
            del self._flights[key], self._heard[key]
            future.set_result(found or nothing)
        if found is BUSY:
            return  # of the world nothing was learned
        if found and found.rcode != wire.Rcode.SERVFAIL:
            self.cache.put(key, found, self._clock())
        elif self.cache.stale(key, self._clock()) is None:
            self.cache.put(key, nothing, self._clock())

    async def _mended(self, key: cache.Key, found: reply.Reply | None) -> reply.Reply | None:
        """NXDOMAIN for one family while the other has addresses means: not of this type.

        musl fails the whole look-up for it, although it has the addresses (dns_and_users.md A1).
        """
        if found is None or found.rcode != wire.Rcode.NXDOMAIN or key.kind not in FAMILIES:
            return found
        other = key._replace(kind=FAMILIES[key.kind])
        heard = self._heard.get(other)
        if heard is not None:
            await asyncio.wait((heard,), timeout=forward.TRY_S)
        entry = self.cache.get(other, self._clock())
        known = heard.result() if heard and heard.done() else entry.reply if entry else None
        if known and known.rcode == wire.Rcode.NOERROR and known.answers:
            return reply.of_no_such_type(found)
        return found

    async def _admitted(self, asked: Question) -> reply.Reply | None:
        """As `_ask`; BUSY when too many others are under way for too long."""
        if not self._gate.try_enter() and not await self._gate.enter():
            self._counts.add(counters.DROPPED, "queue_timeout")
            return BUSY
        try:
            return await self._ask(asked)
        finally:
            self._gate.leave()

    def _came_back(self, asked: Question) -> bool:
        """Whether this is a question of ours: then the server that was asked forwards to us."""
        marked = self._marks.get(wire.option(asked.data, asked.query, forward.MARK))
        if marked is None:
            return False
        server, health = marked
        health.looped(self._clock())
        label = self._counts.upstream(server.label)
        self._counts.add(counters.UPSTREAM_FAILURES, label, Why.LOOP)
        return True

    async def _ask(self, asked: Question) -> reply.Reply | None:
        """What the servers say; the least bad reply otherwise, None without any."""
        servers = asked.scope.upstreams
        healths = [self.health(each, asked.scope) for each in servers]
        now = self._clock()
        tried = self._tried[asked.key] = []
        while len(self._tried) > MOST_TRIED:
            self._tried.popitem(last=False)
        for at in forward.to_probe(healths, now):
            healths[at].probed(now)
            self._spawn(self._probe(asked, at, healths[at], tried))
        found = await race.Race(asked, healths, tried, through=self._tries, spawn=self._spawn).run(
            now
        )
        if found is None and self._clock() - now >= forward.TOTAL_S:
            self._counts.add(counters.DROPPED, "late")
        return found

    async def _probe(
        self, asked: Question, at: int, health: forward.Health, tried: list[tries.Tried]
    ) -> None:
        """Only what it does to `health` matters."""
        await self._tries.one(asked, asked.scope.upstreams[at], health, tried)

    def health(self, server: protocol.Upstream, scope: answer.Scope) -> forward.Health:
        """What is known of a server; one address means another server inside each sandbox."""
        if len(self.healths) >= MOST_HEALTHS:
            self.healths.clear()  # of sandboxes long gone; whoever is silent shows it again
            self._marks.clear()
        key = (server, scope.sandbox if server.inside else "")
        found = self.healths.get(key)
        if found is None:
            mark = self._bits(8 * forward.MARK_BYTES).to_bytes(forward.MARK_BYTES, "big")
            found = self.healths[key] = forward.Health(mark=mark)
            self._marks[mark] = server, found
        return found

    def _sizes(self) -> list[tuple[tuple[str, ...], float]]:
        now = self._clock()
        up: dict[str, bool] = {}
        for (server, _), health in self.healths.items():
            label = self._counts.upstream(server.label)
            up[label] = up.get(label, False) or health.state(now) is forward.State.UP
        return [
            *(((counters.CACHE_ENTRIES, kind), count) for kind, count in self.cache.kinds.items()),
            ((counters.CACHE_BYTES,), self.cache.bytes),
            ((counters.CACHE_EVICTED,), self.cache.evicted),
            *(((counters.UPSTREAM_UP, label), is_up) for label, is_up in up.items()),
        ]

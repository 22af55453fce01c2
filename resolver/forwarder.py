"""A foreign question's way: cache, one flight for many askers, tries in order, the answer.

In: the client's message and its sandbox's scope. Out: the reply for the client, always. Decisions
are `forward`'s, sockets `upstream`'s; here is only the order of events.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Final, NamedTuple

from resolver import (
    answer,
    cache,
    counters,
    forward,
    gate,
    protocol,
    reasons,
    reply,
    sessions,
    upstream,
    wire,
)
from resolver.counters import Source
from resolver.upstream import NoReply, Why

GLOBAL: Final = 1024  # flights at once, all sandboxes together
QUEUE: Final = 4096  # and those that wait to be
MOST_TRIED: Final = 256  # flights whose exchanges can be told afterwards
MOST_HEALTHS: Final = 4096
PATIENCE_S: Final = 1.8  # then an old answer is better than a late one (RFC 8767 §5)
STALE_TTL_S: Final = 30
FAMILIES: Final = {wire.A: wire.AAAA, wire.AAAA: wire.A}

ENCRYPTED: Final = frozenset({"tls", "https", "quic"})

Bits = Callable[[int], int]  # how many random bits → a number
Spawn = Callable[[Coroutine[None, None, None]], None]
Dialled = Callable[[str], upstream.Dial | None]


# Stands for "not asked": told apart by identity, never sent.
BUSY: Final = reply.Reply(b"\0\0\x80\x82" + bytes(8), 12, (), (), 0, None, None)


class Question(NamedTuple):
    """What somebody asked, and whom it may be asked on."""

    query: wire.Query
    data: bytes
    scope: answer.Scope

    @property
    def key(self) -> cache.Key:
        """Sandboxes share what the same servers said, but not what was asked from inside one."""
        inside = any(each.inside for each in self.scope.upstreams)
        partition = (self.scope.upstreams, self.scope.sandbox if inside else "")
        flags = self.data[2] & 0x01 | self.data[3] & 0x10 | self.query.dnssec << 1
        return cache.Key(partition, self.query.name, self.query.kind, self.query.klass, flags)


class Tried(NamedTuple):
    """One exchange with a server, for people who ask what happened."""

    server: str
    transport: str
    seconds: float
    result: str


class Forwarder:
    """Shared by all listeners of a worker; `inside` finds a sandbox's own sockets."""

    def __init__(
        self,
        counts: counters.Counters,
        inside: Dialled,
        *,
        clock: Callable[[], float],
        bits: Bits,
        spawn: Spawn,
    ) -> None:
        self.cache = cache.Cache()
        self.healths: dict[tuple[protocol.Upstream, str], forward.Health] = {}
        self._counts = counts
        self._inside = inside
        self._clock = clock
        self._bits = bits
        self._spawn = spawn
        self._sessions = sessions.Sessions(spawn)
        self._flights: dict[cache.Key, asyncio.Future[reply.Reply]] = {}
        self._heard: dict[cache.Key, asyncio.Future[reply.Reply | None]] = {}
        self._tried: OrderedDict[cache.Key, list[Tried]] = OrderedDict()
        self._gate = gate.Gate(GLOBAL, QUEUE)
        self._marks: dict[bytes, tuple[protocol.Upstream, forward.Health]] = {}
        counts.fold(self._sizes)

    def known(self, asked: Question) -> tuple[cache.Entry | None, cache.Entry | None]:
        """The cached answer that is good, and the one that may be given as stale."""
        now = self._clock()
        return self.cache.get(asked.key, now), self.cache.stale(asked.key, now)

    def tried(self, asked: Question) -> tuple[Tried, ...]:
        """The exchanges of the last flight for this question, if it was not long ago."""
        return tuple(self._tried.get(asked.key, ()))

    def recall(
        self, query: wire.Query, data: bytes, scope: answer.Scope, stream: bool
    ) -> bytes | None:
        """The reply for the client when it is known without asking anybody, else None."""
        asked = Question(query, data, scope)
        if not scope.upstreams:
            return self._failed(asked, Source.POLICY, reasons.NO_UPSTREAM, stream=stream)
        now = self._clock()
        entry = self.cache.get(asked.key, now)
        if entry is None:
            return None
        self._counts.response(entry.reply.rcode, Source.CACHE)
        failed = entry.reply.rcode == wire.Rcode.SERVFAIL
        return reply.for_client(
            entry.reply,
            data,
            query,
            stream=stream,
            aged_s=entry.age_s(now),
            explain=reasons.FAILED_BEFORE if failed else None,
        )

    async def resolve(
        self, query: wire.Query, data: bytes, scope: answer.Scope, stream: bool
    ) -> bytes:
        """The reply for the client; SERVFAIL when nobody gave a better one in time."""
        if known := self.recall(query, data, scope, stream):
            return known
        asked, began = Question(query, data, scope), self._clock()
        if self._came_back(asked):
            return self._failed(asked, Source.ERROR, reasons.LOOP, stream=stream)
        flight = self._flight(asked)
        stale = self.cache.stale(asked.key, self._clock())
        done, _ = await asyncio.wait((flight,), timeout=PATIENCE_S if stale else None)
        found = flight.result() if done else None
        source = _source(found, stale)
        self._counts.observe(counters.SECONDS, source, self._clock() - began)
        if stale and (found is None or found.rcode == wire.Rcode.SERVFAIL):
            self._counts.response(stale.reply.rcode, Source.STALE)
            return reply.for_client(
                stale.reply, data, query, stream=stream, ttl_s=STALE_TTL_S, explain=reasons.STALE
            )
        assert found is not None
        if found is BUSY:
            return self._failed(asked, Source.ERROR, reasons.OVERLOADED, stream=stream)
        if found.rcode == wire.Rcode.SERVFAIL:
            return self._failed(asked, Source.ERROR, reasons.UNREACHABLE, stream=stream)
        self._counts.response(found.rcode, Source.UPSTREAM)
        return reply.for_client(found, data, query, stream=stream)

    def _failed(
        self, asked: Question, source: Source, explain: wire.Explain, *, stream: bool
    ) -> bytes:
        self._counts.response(wire.Rcode.SERVFAIL, source)
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
        if not await self._gate.enter():
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
        """Tries until somebody knows; the least bad reply otherwise, None without any."""
        healths = [self.health(each, asked.scope) for each in asked.scope.upstreams]
        now = self._clock()
        self._tried[asked.key] = []
        while len(self._tried) > MOST_TRIED:
            self._tried.popitem(last=False)
        for at in forward.to_probe(healths, now):
            healths[at].probed(now)
            self._spawn(self._probe(asked, at, healths[at]))
        poor: dict[int, reply.Reply] = {}
        try:
            async with asyncio.timeout(forward.TOTAL_S):
                for at in forward.order(healths, now):
                    if at in poor:
                        continue  # it has spoken: asking again would only add load
                    found = await self._try(asked, at, healths[at])
                    if found and not forward.wants_better(found):
                        return found
                    if found:
                        poor[at] = found
        except TimeoutError:
            self._counts.add(counters.DROPPED, "late")
        return forward.best(poor.values())

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

    async def _probe(self, asked: Question, at: int, health: forward.Health) -> None:
        """Only what it does to `health` matters."""
        await self._try(asked, at, health)

    async def _try(self, asked: Question, at: int, health: forward.Health) -> reply.Reply | None:
        server = asked.scope.upstreams[at]
        label = self._counts.upstream(server.label)
        dial = self._dial(server, asked.scope)
        if dial is None:
            self._counts.add(counters.UPSTREAM_FAILURES, label, Why.REFUSED)
            return None
        begin = self._clock()
        try:
            async with asyncio.timeout(forward.TRY_S):
                found, transport = await self._exchange(asked, dial, server, health)
        except NoReply as exc:
            if exc.why is Why.TLS:
                health.timed_out(self._clock())  # a handshake costs much, and fails again
            if exc.why is not Why.LOOP:  # counted when it was seen
                self._counts.add(counters.UPSTREAM_FAILURES, label, exc.why)
            self._note(asked, Tried(server.label, "", self._clock() - begin, exc.why))
            return None
        except TimeoutError:
            health.timed_out(self._clock())
            self._counts.add(counters.UPSTREAM_FAILURES, label, Why.TIMEOUT)
            self._note(asked, Tried(server.label, "", self._clock() - begin, Why.TIMEOUT))
            return None
        seconds, rcode = self._clock() - begin, counters.rcode_label(found.rcode)
        health.answered(seconds)
        self._counts.took(label, seconds)
        self._counts.add(counters.UPSTREAM_RESPONSES, label, rcode)
        self._note(asked, Tried(server.label, transport, seconds, rcode))
        return found

    def _note(self, asked: Question, tried: Tried) -> None:
        if asked.key in self._tried:
            self._tried[asked.key].append(tried)

    async def _exchange(
        self,
        asked: Question,
        dial: upstream.Dial,
        server: protocol.Upstream,
        health: forward.Health,
    ) -> tuple[reply.Reply, str]:
        """A checked reply and its transport; a server without EDNS is asked again without it."""
        loops = health.loops
        while True:
            edns = health.edns
            is_plain = server.transport == "udp"
            case = self._bits(64) if is_plain and health.mixes() else 0
            sent = forward.question(
                asked.data,
                asked.query,
                self._bits(16),
                case,
                mark=health.mark if edns else None,
                padded=server.transport in ENCRYPTED,
            )
            if is_plain:
                data, transport = await upstream.exchange(dial, server, sent, health, self._suspect)
                age_s = 0
            else:
                data, age_s = await self._streamed(asked, dial, server, sent)
                transport = server.transport
            if health.loops != loops:
                raise NoReply(Why.LOOP)  # what it says, we said
            found = reply.read(data, sent.end, dnssec=asked.query.dnssec)
            if found is None:
                raise NoReply(Why.MISMATCH)
            if found.rcode != wire.Rcode.FORMERR or not edns:
                return reply.aged(found, age_s), transport
            health.edns = False

    def _suspect(self, what: counters.Suspect) -> None:
        self._counts.add(counters.SUSPECT, what)

    async def _streamed(
        self,
        asked: Question,
        dial: upstream.Dial,
        server: protocol.Upstream,
        sent: forward.Sent,
    ) -> sessions.Said:
        """What a server says that is not asked over UDP; raises NoReply."""
        if server.transport == "tcp":
            return sessions.Said(await upstream.over_tcp(dial, server, sent))
        said = await self._sessions.ask(dial, server, asked.scope.sandbox, sent.message)
        # Nothing of a stream could be fetched over another transport: TC is the server's mistake.
        if forward.judge(said.message, sent) in (forward.Trust.FOREIGN, forward.Trust.TRUNCATED):
            raise NoReply(Why.MISMATCH)
        return said

    def _dial(self, server: protocol.Upstream, scope: answer.Scope) -> upstream.Dial | None:
        if server.inside:
            return self._inside(scope.sandbox)
        return upstream.HOST6 if ":" in server.address else upstream.HOST4

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


def _source(found: reply.Reply | None, stale: cache.Entry | None) -> Source:
    """Where the answer of a flight comes from in the end."""
    if found is not None and found.rcode != wire.Rcode.SERVFAIL:
        return Source.UPSTREAM
    return Source.STALE if stale else Source.ERROR

"""A foreign question's way: cache, one exchange for many askers, tries in order, the answer.

In: the client's message and its sandbox's scope. Out: the reply for the client, always. Decisions
are `forward`'s, sockets `upstream`'s; here is only the order of events.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from resolver import answer, cache, counters, forward, protocol, upstream, wire
from resolver.counters import Source
from resolver.upstream import NoReply, Why

GLOBAL: Final = 1024  # exchanges at once, all sandboxes together
Bits = Callable[[int], int]  # how many random bits → a number


class Forwarder:
    """Shared by all listeners of a worker; `inside` finds a sandbox's own sockets."""

    def __init__(
        self,
        counts: counters.Counters,
        inside: Callable[[str], upstream.Dial | None],
        clock: Callable[[], float],
        bits: Bits,
    ) -> None:
        self.cache = cache.Cache()
        self._counts = counts
        self._inside = inside
        self._clock = clock
        self._bits = bits
        self._healths: dict[protocol.Upstream, forward.Health] = {}
        self._running: dict[cache.Key, asyncio.Future[bytes]] = {}
        self._slots = asyncio.Semaphore(GLOBAL)
        counts.fold(self._sizes)

    def recall(
        self, query: wire.Query, data: bytes, scope: answer.Scope, stream: bool
    ) -> bytes | None:
        """The reply for the client when it is known without asking anybody, else None."""
        if not scope.upstreams:
            return self._failed(query, data, Source.POLICY, stream=stream)
        known = self.cache.get(_key(query, data, scope), self._clock())
        if known is None:
            return None
        self._counts.response(known[3] & 0xF, Source.CACHE)
        return forward.for_client(known, data, query, stream=stream)

    async def resolve(
        self, query: wire.Query, data: bytes, scope: answer.Scope, stream: bool
    ) -> bytes:
        """The reply for the client; SERVFAIL when nobody gave a better one in time."""
        reply, source = await self._reply(query, data, scope)
        if reply is None:
            return self._failed(query, data, Source.ERROR, stream=stream)
        self._counts.response(reply[3] & 0xF, source)
        return forward.for_client(reply, data, query, stream=stream)

    def _failed(self, query: wire.Query, data: bytes, source: Source, *, stream: bool) -> bytes:
        self._counts.response(wire.Rcode.SERVFAIL, source)
        return wire.respond(data, query, wire.Rcode.SERVFAIL, stream=stream, authoritative=False)

    async def _reply(
        self, query: wire.Query, data: bytes, scope: answer.Scope
    ) -> tuple[bytes | None, Source]:
        if not scope.upstreams:
            return None, Source.POLICY
        key = _key(query, data, scope)
        if known := self.cache.get(key, self._clock()):
            return known, Source.CACHE
        if running := self._running.get(key):
            self._counts.add(counters.COALESCED)
            return await _shared(running), Source.UPSTREAM
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._running[key] = future
        found: bytes | None = None
        try:
            found = await self._ask(query, data, scope)
            if found:
                self.cache.put(key, found, query.end, self._clock())
            return found, Source.UPSTREAM
        finally:
            del self._running[key]
            future.set_result(found or b"")

    async def _ask(self, query: wire.Query, data: bytes, scope: answer.Scope) -> bytes | None:
        """Tries until somebody knows; the least bad reply otherwise, None without any."""
        healths = [self._healths.setdefault(each, forward.Health()) for each in scope.upstreams]
        poor: list[bytes] = []
        try:
            async with asyncio.timeout(forward.TOTAL_S), self._slots:
                for at in forward.order(healths, self._clock()):
                    reply = await self._try(query, data, scope, at, healths[at])
                    if reply and reply[3] & 0xF not in forward.ELSEWHERE:
                        return reply
                    if reply:
                        poor.append(reply)
        except TimeoutError:
            self._counts.add(counters.DROPPED, "late")
        return forward.best(poor)

    async def _try(
        self,
        query: wire.Query,
        data: bytes,
        scope: answer.Scope,
        at: int,
        health: forward.Health,
    ) -> bytes | None:
        server = scope.upstreams[at]
        label = self._counts.upstream(server.address)
        dial = self._dial(server, scope)
        if dial is None:
            self._counts.add(counters.UPSTREAM_FAILURES, label, Why.REFUSED)
            return None
        sent = forward.question(data, query, self._bits(16), self._bits(64))
        begin = self._clock()
        try:
            async with asyncio.timeout(forward.TRY_S):
                reply = await upstream.exchange(dial, server, sent, stream=False)
        except NoReply as exc:
            self._counts.add(counters.UPSTREAM_FAILURES, label, exc.why)
            return None
        except TimeoutError:
            health.timed_out(self._clock())
            self._counts.add(counters.UPSTREAM_FAILURES, label, Why.TIMEOUT)
            return None
        health.answered()
        self._counts.took(label, self._clock() - begin)
        self._counts.add(counters.UPSTREAM_RESPONSES, label, counters.rcode_label(reply[3] & 0xF))
        return reply

    def _dial(self, server: protocol.Upstream, scope: answer.Scope) -> upstream.Dial | None:
        if server.inside:
            return self._inside(scope.sandbox)
        return upstream.HOST6 if ":" in server.address else upstream.HOST4

    def _sizes(self) -> list[tuple[tuple[str, ...], float]]:
        return [
            ((counters.CACHE_ENTRIES,), len(self.cache)),
            ((counters.CACHE_BYTES,), self.cache.bytes),
        ]


def _key(query: wire.Query, data: bytes, scope: answer.Scope) -> cache.Key:
    """Sandboxes share what the same servers said, but not what was asked from inside one."""
    inside = any(each.inside for each in scope.upstreams)
    partition = (scope.upstreams, scope.sandbox if inside else "")
    flags = data[2] & 0x01 | data[3] & 0x10 | query.dnssec << 1 | query.edns << 2
    return cache.Key(partition, query.name, query.kind, query.klass, flags)


async def _shared(running: "asyncio.Future[bytes]") -> bytes | None:
    # Shielded: an asker that leaves must not take the answer away from the others.
    return await asyncio.shield(running) or None

"""The UDP listener of one sandbox: a drain loop with a memory for what is asked again and again.

In: sockets that sdd opened inside the sandbox. Out: replies. asyncio's datagram protocol serves
one packet a turn of the loop, a third of the speed; here batches of 64 are read and answered by
two system calls, until the socket is empty or other sandboxes must have their turn, and the loop
is not even entered for what is known (`selector`).
"""

import functools
import math
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from resolver import clock, counters, notes
from resolver.listen import behind, datagrams, queues, ready, respond, selector
from resolver.message import reasons, wire
from resolver.message import reply as reply_of
from resolver.names import answer, chase
from resolver.upstream import cache
from resolver.upstream.bucket import Buckets
from resolver.upstream.gate import Gate

DRAIN: Final = 4 * datagrams.MOST  # datagrams a wake-up; then the other sandboxes have their turn
FEW: Final = 8  # so small a batch was all there was: to hear so from the kernel costs another call
# Datagrams at once while most are new, and each takes 20 times as long; twice as many, and so on,
# when most are not: a burst of new ones, too, begins with a few.
A_FEW_NEW: Final = 2
IN_FLIGHT: Final = 256  # forwarded queries a sandbox
IN_QUEUE: Final = 1024  # and those that wait to be; what is more is dropped

Forward = Callable[[wire.Query, bytes, answer.Scope, bool], Awaitable[bytes]]
Done = Callable[[bytes], None]
Begin = Callable[[wire.Query, bytes, answer.Scope, bool, Done], None]
Joins = Callable[[wire.Query, bytes, answer.Scope], bool]
Recall = Callable[[wire.Query, bytes, answer.Scope, bool], bytes | None]
Lasting = Callable[[wire.Query, bytes, answer.Scope], cache.Entry | None]
Stays = Callable[[wire.Query, bytes, answer.Scope, float], bool]
Bar = Callable[[AbstractSet[str], AbstractSet[str]], None]
Spawn = Callable[[Coroutine[None, None, None]], None]
Peer = tuple[str, int]
Foreign = wire.Query | chase.Onward  # what is not, or not all, known here


@dataclass(slots=True, eq=False)
class Tools:
    """What all listeners of a worker share.

    `recall` gives what an upstream said not long ago, `lasting` what is kept of it, `stays`
    whether it gives the same for a while, `forward` asks
    one, `begin` does so without a task for the asker; `joins` says that somebody asks just the same
    already, `bar` ends what is under way for sandboxes that are gone, or that may not have it asked
    any more, of those that see others or have other sockets.
    """

    responder: respond.Responder
    counts: counters.Counters
    recall: Recall
    lasting: Lasting
    stays: Stays
    forward: Forward
    begin: Begin
    joins: Joins
    bar: Bar
    spawn: Spawn
    pool: ready.Pool
    hot: selector.Selector
    note: notes.Note = notes.unheard
    batch: datagrams.Batch = field(default_factory=datagrams.Batch)
    gates: dict[str, Gate] = field(default_factory=dict)
    buckets: Buckets = field(default_factory=Buckets)
    lost: queues.Queues = field(init=False)

    def __post_init__(self) -> None:
        self.lost = queues.Queues(self.counts, self.note)
        self.counts.fold(self._under_way)

    def _under_way(self) -> list[tuple[tuple[str, ...], float]]:
        return [
            ((counters.IN_FLIGHT,), sum(each.inside for each in self.gates.values())),
            ((counters.MALFORMED, "long"), self.batch.long),
        ]

    def gate(self, sandbox: str) -> Gate:
        """The bound on what one sandbox has under way."""
        found = self.gates.get(sandbox)
        if found is None:
            found = self.gates[sandbox] = Gate(IN_FLIGHT, IN_QUEUE)
        return found

    def is_too_fast(self, scope: answer.Scope) -> bool:
        """Whether the sandbox asks more foreign questions than it may; counts one that it asks."""
        if self.buckets.take(scope.sandbox, scope.rate, clock.now()):
            return False
        self.counts.add(counters.DROPPED, "rate_limit")
        return True

    def left(self, sandbox: str, admitting: Gate) -> None:
        """Somebody left `admitting`, or its queue: one that is not used is not kept."""
        if admitting.is_unused and self.gates.get(sandbox) is admitting:
            del self.gates[sandbox]


class Udp:
    """The UDP listener of one sandbox."""

    def __init__(self, link: socket.socket, scope: answer.Scope, tools: Tools) -> None:
        self._link = link
        self._heir: Udp | None = None
        self._scope = scope
        self._tools = tools
        self._ready = tools.pool.table()
        self._new = 0
        self._most = A_FEW_NEW
        self._descriptor = link.fileno()
        tools.lost.add(link)
        turns = tools.batch.turns(
            self._descriptor,
            self._ready,
            self._ask,
            clock=clock.now,
            many=self._drain,
            behind=tools.pool.sweep,
        )
        next(turns)
        tools.hot.add_hot(self._descriptor, turns.__next__)

    @property
    def scope(self) -> answer.Scope:
        """What is answered from."""
        return self._scope

    @property
    def ready(self) -> Mapping[bytes, datagrams.Known]:
        """What was answered lately, by the messages without their ids."""
        return self._ready

    def see(self, scope: answer.Scope) -> None:
        """Answer from `scope` from now on."""
        self._scope = scope
        self.forget()

    def forget(self) -> None:
        """Look again for what was answered before."""
        self._tools.pool.forget(self._ready)

    def close(self, heir: "Udp | None" = None) -> None:
        """Stop and release the socket. What is under way is answered from that of `heir`.

        Port 53 leads there by then, so it is from there that the stub expects it.
        """
        self._heir = heir
        self._tools.pool.drop(self._ready)
        self._tools.buckets.drop(self._scope.sandbox)
        self._tools.hot.remove_hot(self._descriptor)
        self._tools.lost.remove(self._link)
        self._link.close()

    def _drain(self, now: float) -> None:
        """Answer what waits: as much as there is of what is known, a few of what is new."""
        self._new = 0
        serve, known, ask = self._tools.batch.serve, self._ready, self._ask
        room, count = DRAIN, datagrams.MOST
        while room > 0 and count > FEW and not self._new:
            count = serve(self._descriptor, known, ask, now, self._most)
            room -= count
        if 2 * self._new > count:
            self._most = A_FEW_NEW
        elif count:
            self._most = min(datagrams.MOST, 2 * self._most)
        self._tools.pool.sweep(now)

    def _ask(self, slot: int, data: bytes) -> bytes | None:
        """What is new: the reply, or None for what is dropped or forwarded."""
        tools, begun = self._tools, clock.now()
        if slept := tools.pool.wake(self._ready, data, begun):
            return slept
        self._new += 1
        said = tools.responder.respond(data, self._scope, stream=False)
        if said is None or isinstance(said, respond.Said):
            if said is not None and said.steady:
                self._remember(said, data, begun)
            return said.reply if said else None
        if isinstance(said, wire.Query) and (
            told := passed_over(tools, said, data, self._scope, (self._ready,), stream=False)
        ):
            return told
        if reply := recalled(tools, self._scope, said, data, stream=False):
            tools.counts.observe(counters.SIZES, respond.UDP, len(reply))
            self._keep(said, data, reply, begun)
            return reply
        self._begin(said, data, tools.batch.peer(slot))
        return None

    def _remember(self, said: respond.Said, data: bytes, now: float) -> None:
        """Give it again; "no", for as long as a look-up may go on after that."""
        memo = memo_of(said, self._scope)
        if not self._scope.search or not says_none(said):
            return self._tools.pool.put(self._ready, data, memo)
        memo.aging = ready.Aging((), now, math.inf)
        return self._tools.pool.put_fleeting(self._ready, data, memo, now)

    def _keep(self, asked: Foreign, data: bytes, reply: bytes, begun: float) -> None:
        """Give `reply` again for a while, unless what it was made of may change meanwhile."""
        tools, scope, now = self._tools, self._scope, clock.now()
        is_whole = isinstance(asked, wire.Query)
        end, message = (
            (asked, data) if isinstance(asked, wire.Query) else (asked.end, asked.message)
        )
        if not tools.stays(end, message, scope, ready.FLEETING_S):
            return
        memo = _recalled_memo(asked, reply, scope, now - begun)
        if is_whole and (entry := tools.lasting(end, data, scope)):
            memo.aging = _aging(entry, reply)
            memo.age_s = entry.age_s(now)
        tools.pool.put_fleeting(self._ready, data, memo, now)

    def _begin(self, asked: Foreign, data: bytes, peer: Peer) -> None:
        """Answer later, or drop it when too many are under way already."""
        tools, scope = self._tools, self._scope
        query = asked if isinstance(asked, wire.Query) else None
        if query and tools.joins(query, data, scope):
            return tools.begin(query, data, scope, False, functools.partial(self._told, peer))
        if tools.is_too_fast(scope):
            return None
        admitting = tools.gate(scope.sandbox)
        if query and admitting.try_enter():
            done = functools.partial(self._left, peer, scope.sandbox, admitting)
            return tools.begin(query, data, scope, False, done)
        if admitting.is_full:
            return tools.counts.add(counters.DROPPED, "overload")
        return tools.spawn(self._forwarded(asked, data, peer))

    async def _forwarded(self, asked: Foreign, data: bytes, peer: Peer) -> None:
        self._say(peer, await admitted(self._tools, self._scope, asked, data, stream=False))

    def _left(self, peer: Peer, sandbox: str, admitting: Gate, reply: bytes) -> None:
        admitting.leave()
        self._tools.left(sandbox, admitting)
        self._told(peer, reply)

    def _told(self, peer: Peer, reply: bytes) -> None:
        self._tools.counts.observe(counters.SIZES, respond.UDP, len(reply))
        self._say(peer, reply)

    def _say(self, peer: Peer, reply: bytes) -> None:
        if self._heir:
            return self._heir._say(peer, reply)  # noqa: SLF001 - of the same class
        try:
            self._link.sendto(reply, peer)
        except OSError:
            self._tools.counts.add(counters.DROPPED, "send")


def says_none(said: respond.Said) -> bool:
    """Whether it is "no such name" or records, after which a look-up goes on by its search list."""
    if said.rcode == wire.Rcode.NOERROR.name:
        return reply_of.has_none(said.reply)
    return said.rcode == wire.Rcode.NXDOMAIN.name


def passed_over(
    tools: Tools,
    query: wire.Query,
    data: bytes,
    scope: answer.Scope,
    known: Iterable[Mapping[bytes, datagrams.Known]],
    *,
    stream: bool,
) -> bytes | None:
    """The reply when the sandbox's search list made this name of one that was just asked.

    `known` as in `behind.followed`.
    """
    ours = behind.followed(query, data, scope, known, clock.now())
    if ours is None:
        return None
    other = behind.other(query, data)
    if other and (tools.joins(*other, scope) or tools.lasting(*other, scope)):
        return None
    reply = behind.told(tools.counts, query, data, scope, ours)
    proto = respond.TCP if stream else respond.UDP
    tools.counts.observe(counters.SIZES, proto, len(reply))
    return reply


def memo_of(said: respond.Said, scope: answer.Scope) -> ready.Memo:
    """`said` as it may be given again."""
    tail = said.reply[datagrams.ID :]
    return ready.Memo(tail, scope.label, said.kind, said.rcode, said.source, said.seconds)


def _recalled_memo(asked: Foreign, reply: bytes, scope: answer.Scope, seconds: float) -> ready.Memo:
    """To give the same again counts as another answer from the cache, or as another refusal."""
    query = asked if isinstance(asked, wire.Query) else asked.query
    rcode = reply[3] & 0xF
    name = query.name if isinstance(asked, wire.Query) else asked.end.name
    denies = reply_of.has_none(reply)
    has_servers = bool(scope.route(name).upstreams)
    return ready.Memo(
        tail=reply[datagrams.ID :],
        network=scope.label,
        kind=counters.type_label(query.kind),
        rcode=counters.rcode_label(rcode),
        source=counters.Source.CACHE if has_servers else counters.Source.POLICY,
        seconds=seconds,
        cached=cache.kind(rcode, denies=denies) if has_servers else "",
    )


def _aging(entry: cache.Entry, reply: bytes) -> ready.Aging:
    """How `reply`, made of `entry`, gets older: with the TTLs of the records that had room."""
    kept = int.from_bytes(reply[6:8], "big") + int.from_bytes(reply[8:10], "big")
    end = entry.reply.ends[kept - 1] if kept else 0
    at = tuple(each - datagrams.ID for each in entry.reply.ttls if each < end)
    spin = entry.reply.spin
    if spin:
        there = (end - spin.begin) // spin.size  # of them, the others had no room
        begin = spin.begin - datagrams.ID
        spin = spin._replace(begin=begin, number=there) if there > 1 else None
    return ready.Aging(at, entry.stored, entry.expires, spin, ready.PATIENCE)


def recalled(
    tools: Tools, scope: answer.Scope, asked: Foreign, data: bytes, *, stream: bool
) -> bytes | None:
    """The reply when what is foreign of it is known without asking anybody, else None."""
    if isinstance(asked, wire.Query):
        return tools.recall(asked, data, scope, stream)
    said = tools.recall(asked.end, asked.message, scope.straight, True)
    return chase.joined(asked, said, stream=stream) if said else None


async def forwarded(
    tools: Tools, scope: answer.Scope, asked: Foreign, data: bytes, *, stream: bool
) -> bytes:
    """The reply with what an upstream says."""
    if isinstance(asked, wire.Query):
        return await tools.forward(asked, data, scope, stream)
    said = await tools.forward(asked.end, asked.message, scope.straight, True)
    return chase.joined(asked, said, stream=stream)


async def admitted(
    tools: Tools, scope: answer.Scope, asked: Foreign, data: bytes, *, stream: bool
) -> bytes:
    """The forwarded answer, or SERVFAIL when the queue of this sandbox did not move in time.

    Who asks what is being asked already needs no place.
    """
    proto = respond.TCP if stream else respond.UDP
    if isinstance(asked, wire.Query) and tools.joins(asked, data, scope):
        reply = await forwarded(tools, scope, asked, data, stream=stream)
        tools.counts.observe(counters.SIZES, proto, len(reply))
        return reply
    if stream and tools.is_too_fast(scope):  # of what came as a datagram it was asked before
        query = asked if isinstance(asked, wire.Query) else asked.query
        return _overloaded(tools, scope, query, data, stream=stream)
    name = scope.sandbox
    admitting = tools.gate(name)
    try:
        if not await admitting.enter():
            tools.counts.add(counters.DROPPED, "queue_timeout")
            query = asked if isinstance(asked, wire.Query) else asked.query
            return _overloaded(tools, scope, query, data, stream=stream)
        try:
            reply = await forwarded(tools, scope, asked, data, stream=stream)
        finally:
            admitting.leave()
        tools.counts.observe(counters.SIZES, proto, len(reply))
        return reply
    finally:
        tools.left(name, admitting)


def _overloaded(
    tools: Tools, scope: answer.Scope, query: wire.Query, data: bytes, *, stream: bool
) -> bytes:
    tools.counts.response(scope.label, wire.Rcode.SERVFAIL.name, counters.Source.ERROR)
    return wire.respond(
        data,
        query,
        wire.Rcode.SERVFAIL,
        stream=stream,
        authoritative=False,
        explain=(reasons.OVERLOADED,),
    )

"""The UDP listener of one sandbox: a drain loop with a memory for what is asked again and again.

In: sockets that sdd opened inside the sandbox. Out: replies. asyncio's datagram protocol serves
one packet a turn of the loop, a third of the speed; here up to 64 are served per wake-up.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final

from resolver import answer, counters, respond, wire

DRAIN: Final = 64  # datagrams a wake-up; then the other sandboxes have their turn
RECEIVE: Final = 4096  # longer datagrams are cut; what they ask is not a DNS question
MEMO: Final = 128  # remembered questions a sandbox: a hostile one must not fill the memory
IN_FLIGHT: Final = 256  # forwarded queries a sandbox

Forward = Callable[[wire.Query, bytes, answer.Scope, bool], Awaitable[bytes]]
Spawn = Callable[[Coroutine[None, None, None]], None]
Peer = tuple[str, int]


@dataclass(slots=True, eq=False)
class Memo:
    """A reply without its id, and how often it was given."""

    tail: bytes
    kind: str
    rcode: str
    source: counters.Source
    given: int = 0


@dataclass(slots=True, eq=False)
class Tools:
    """What all listeners of a worker share."""

    responder: respond.Responder
    counts: counters.Counters
    forward: Forward
    spawn: Spawn
    in_flight: dict[str, int] = field(default_factory=dict)


class Udp:
    """The UDP listener of one sandbox."""

    def __init__(self, link: socket.socket, scope: answer.Scope, tools: Tools) -> None:
        self._link = link
        self._scope = scope
        self._tools = tools
        self._memo: dict[bytes, Memo] = {}
        asyncio.get_running_loop().add_reader(link.fileno(), self._drain)

    def see(self, scope: answer.Scope) -> None:
        """Answer from `scope` from now on."""
        self._scope = scope
        self._forget()

    def close(self) -> None:
        """Stop and release the socket."""
        self._forget()
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()

    def _drain(self) -> None:
        receive, send, memo = self._link.recvfrom, self._link.sendto, self._memo
        for _ in range(DRAIN):
            try:
                data, peer = receive(RECEIVE)
            except OSError:
                return  # drained; or an ICMP error that belongs to an earlier reply
            known = memo.get(data[2:])
            try:
                if known is not None:
                    known.given += 1
                    send(data[:2] + known.tail, peer)
                else:
                    self._ask(data, peer)
            except OSError:
                continue  # the asker is gone, or its socket is full: it will ask again

    def _ask(self, data: bytes, peer: Peer) -> None:
        said = self._tools.responder.respond(data, self._scope, stream=False)
        if isinstance(said, wire.Query):
            self._tools.spawn(self._forwarded(said, data, peer))
        elif said is not None:
            self._link.sendto(said.reply, peer)
            if said.steady and len(data) <= wire.CLASSIC_LIMIT:
                self._remember(data, said)

    def _remember(self, data: bytes, said: respond.Said) -> None:
        if len(self._memo) >= MEMO:
            self._forget()
        self._memo[data[2:]] = Memo(said.reply[2:], said.kind, said.rcode, said.source)

    def _forget(self) -> None:
        self.settle()
        self._memo.clear()

    def settle(self) -> None:
        """Bring the counters up to date with what the memo answered."""
        add = self._tools.counts.add
        for known in self._memo.values():
            given, known.given = known.given, 0
            if given:
                add(counters.REQUESTS, respond.UDP, known.kind, amount=given)
                add(counters.RESPONSES, known.rcode, known.source, amount=given)

    async def _forwarded(self, query: wire.Query, data: bytes, peer: Peer) -> None:
        reply = await admitted(self._tools, self._scope, query, data, stream=False)
        try:
            self._link.sendto(reply, peer)
        except OSError:
            self._tools.counts.add(counters.DROPPED, "send")


async def admitted(
    tools: Tools, scope: answer.Scope, query: wire.Query, data: bytes, *, stream: bool
) -> bytes:
    """The forwarded answer, or SERVFAIL when this sandbox has too many questions out already."""
    name = scope.sandbox
    if tools.in_flight.get(name, 0) >= IN_FLIGHT:
        tools.counts.add(counters.DROPPED, "overload")
        return wire.respond(data, query, wire.Rcode.SERVFAIL, stream=stream, authoritative=False)
    tools.in_flight[name] = tools.in_flight.get(name, 0) + 1
    try:
        return await tools.forward(query, data, scope, stream)
    finally:
        tools.in_flight[name] -= 1
        if not tools.in_flight[name]:
            del tools.in_flight[name]

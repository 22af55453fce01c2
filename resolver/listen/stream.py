"""The TCP listener of one sandbox: pipelined, out of order, and with a limit for every patience.

In: the listening socket that sdd opened inside the sandbox. Out: length-prefixed replies (RFC 7766
§8). Whoever is slow, idle or wrong is closed. Beyond the limit the kernel keeps connections until
there is a place: a stub takes one that is closed for "no such name".
"""

import asyncio
import contextlib
import errno
import math
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from resolver import clock, counters, notes
from resolver.listen import datagrams, respond, server
from resolver.message import wire
from resolver.names import answer

CONNECTIONS: Final = 64  # open at once, a sandbox
A_SOURCE: Final = 8  # and of these from one address of a program's own choice
SHARED: Final = "127.0.0.1"  # of all programs that choose none (docs/decisions/002-tcp-sources.md)
QUERIES: Final = 100  # a connection (CVE-2025-30193)
PIPELINE: Final = 16  # questions of one connection in work at once
IDLE_S: Final = 5.0  # between two messages
MESSAGE_S: Final = 3.0  # from the first byte of a message to its last (CVE-2024-8418)
WRITE_S: Final = 3.0  # for a reply to leave
SPARE_S: Final = 0.25  # between two messages, while others wait for a place
ENDED_S: Final = 1.0  # for one that is ended for them to leave its place
BACKLOG: Final = 512  # connections that wait for a place: more than programs have threads
PAUSE_S: Final = 0.2  # before accepting is tried again when there was no descriptor for it
_NOTHING: Final[Mapping[bytes, datagrams.Known]] = MappingProxyType({})


class Tcp:
    """The TCP listener of one sandbox."""

    def __init__(
        self,
        link: socket.socket,
        scope: answer.Scope,
        tools: server.Tools,
        beside: Mapping[bytes, datagrams.Known] = _NOTHING,
    ) -> None:
        """`beside` is what was answered by datagrams lately: a look-up may begin with these."""
        self._link = link
        self._scope = scope
        self._tools = tools
        self._told = tools.pool.table()  # of whom a look-up may go on
        self._known = (self._told, beside)
        self._open: dict[asyncio.StreamWriter, _Client] = {}
        self._sources: Counter[str] = Counter()  # of all that were accepted and are not closed
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._accept)
        self._pause: asyncio.TimerHandle | None = None
        self._crowd: asyncio.TimerHandle | None = None  # while somebody waits for a place

    def see(self, scope: answer.Scope) -> None:
        """Answer from `scope` from now on."""
        self._scope = scope

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._sources.total()

    def close(self) -> None:
        """Stop, and end every connection."""
        for each in (self._pause, self._crowd):
            if each is not None:
                each.cancel()
        self._loop.remove_reader(self._link.fileno())
        self._link.close()
        self._tools.pool.drop(self._told)
        for writer in tuple(self._open):
            writer.transport.abort()  # what nobody reads would hold the sandbox's namespace

    def _accept(self) -> None:
        if self._sources.total() >= CONNECTIONS:
            self._crowded()
            return
        for _ in range(CONNECTIONS - self._sources.total()):
            try:
                link, (source, _) = self._link.accept()
            except OSError as exc:
                if exc.errno in notes.SCARCE:
                    self._tools.note("accept", f"no TCP client is accepted now: {exc.strerror}")
                    self._wait()
                elif exc.errno == errno.EINVAL:
                    # Somebody closed it (SOCK_DESTROY): it would wake us for ever. sdd sees it.
                    self._loop.remove_reader(self._link.fileno())
                return  # none left, or one that went away while it waited
            if source != SHARED and self._sources[source] >= A_SOURCE:
                link.close()
                self._tools.counts.add(counters.DROPPED, "tcp_limit")
                self._tools.counts.add(counters.TCP_REJECTED, "source")
                continue
            # Here and not once it is served: a burst is accepted before any of it is.
            self._sources[source] += 1
            self._tools.spawn(self._served(link, source))

    def _crowded(self) -> None:
        """All places are taken and somebody waits: accept nothing until one is free."""
        self._loop.remove_reader(self._link.fileno())
        self._make_room()

    def _make_room(self) -> None:
        """End the one that asked nothing for the longest time, now or as soon as one is spare."""
        now = self._loop.time()
        spare = [each for each, client in self._open.items() if client.is_spare(now)]
        if spare:
            self._tools.counts.add(counters.TCP_REJECTED, "idle")
            chosen = min(spare, key=lambda each: (_unsent(each), self._open[each].heard))
            self._open[chosen].heard = math.inf  # nobody is chosen twice
            # Not `close`: one that does not read its answers would go on waiting.
            chosen.transport.abort()
        # Whoever is ended leaves in a few turns: also on a busy machine that is one for one.
        self._crowd = self._loop.call_later(ENDED_S if spare else SPARE_S / 2, self._make_room)

    def _left(self, source: str) -> None:
        """There is a place."""
        self._sources -= Counter((source,))  # and no key stays at 0
        if self._crowd is not None and self._link.fileno() >= 0:
            self._crowd.cancel()
            self._crowd = None
            self._loop.add_reader(self._link.fileno(), self._accept)

    def _wait(self) -> None:
        """Accept nothing for a moment: whoever waits would wake us at once, for ever."""
        self._loop.remove_reader(self._link.fileno())
        self._pause = self._loop.call_later(PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._link.fileno(), self._accept)

    async def _served(self, link: socket.socket, source: str) -> None:
        try:
            await self._serve(link)
        finally:
            self._left(source)

    async def _serve(self, link: socket.socket) -> None:
        link.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=link)
        client = self._open[writer] = _Client()
        if self._link.fileno() < 0:
            writer.close()  # the sandbox went meanwhile
        slots = asyncio.Semaphore(PIPELINE)
        try:
            async with asyncio.TaskGroup() as work:
                for _ in range(QUERIES):
                    client.heard = self._loop.time()
                    first = await _first(reader)
                    client.heard = math.inf  # also of one that is closed for others
                    if not first:
                        break  # the client has said all; its answers are still on their way
                    data = await _message(first, reader)
                    await slots.acquire()
                    client.owed += 1
                    said = self._answer(data, writer, slots, client)
                    work.create_task(said, name="dns-tcp-answer")
        except* _Broken:
            self._tools.counts.add(counters.MALFORMED, "framing")
        except* (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # slow, gone or wrong: closing is the answer
        finally:
            self._open.pop(writer, None)
            await _closed(writer)

    async def _answer(
        self,
        data: bytes,
        writer: asyncio.StreamWriter,
        slots: asyncio.Semaphore,
        client: "_Client",
    ) -> None:
        try:
            reply = await self._reply(data)
            writer.write(len(reply).to_bytes(2, "big") + reply)
            async with asyncio.timeout(WRITE_S):
                await writer.drain()
        finally:
            client.owed -= 1
            slots.release()

    async def _reply(self, data: bytes) -> bytes:
        tools, scope = self._tools, self._scope
        said = tools.responder.respond(data, scope, stream=True)
        if said is None:
            raise _Broken  # a message that is no query: nothing sensible follows
        if isinstance(said, respond.Said):
            if scope.search and server.says_none(said):
                self._remember(said, data)
            return said.reply
        if isinstance(said, wire.Query) and (
            told := server.passed_over(tools, said, data, scope, self._known, stream=True)
        ):
            return told
        return await server.admitted(tools, scope, said, data, stream=True)

    def _remember(self, said: respond.Said, data: bytes) -> None:
        """For as long as a look-up may go on after it; nobody is given it again."""
        now = clock.now()
        self._tools.pool.put_fleeting(self._told, data, server.memo_of(said, self._scope), now)
        self._tools.pool.sweep(now)


@dataclass(slots=True, eq=False)
class _Client:
    """What is known of who is at a connection: since when nothing came, and answers on their way.

    `heard` is a time of the loop, infinite while something comes.
    """

    heard: float = math.inf
    owed: int = 0

    def is_spare(self, now: float) -> bool:
        """Whether it may be closed: no answer is to come, and nothing was asked for a while."""
        return not self.owed and now - self.heard >= SPARE_S


class _Broken(Exception):
    """The stream holds something that is no DNS message."""


async def _first(reader: asyncio.StreamReader) -> bytes:
    """The first byte of the next message, empty at the end; raises when it does not come."""
    async with asyncio.timeout(IDLE_S):
        return await reader.read(1)


async def _message(first: bytes, reader: asyncio.StreamReader) -> bytes:
    """The message that begins so; raises when it comes too slowly or is too short."""
    async with asyncio.timeout(MESSAGE_S):
        size = int.from_bytes(first + await reader.readexactly(1), "big")
        if size < wire.HEADER:
            raise _Broken
        return await reader.readexactly(size)


def _unsent(writer: asyncio.StreamWriter) -> bool:
    """Whether answers are still here, for their reader does not read."""
    return writer.transport.get_write_buffer_size() > 0


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Everything that is written has left, or has had its time; the descriptor is released."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(WRITE_S):
            await writer.wait_closed()
    # Nothing when it is closed. Else it would be kept for as long as its reader is there, and in
    # nobody's count: whoever lets his answers lie could take all our descriptors.
    writer.transport.abort()

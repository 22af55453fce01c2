"""The TCP listener of one sandbox: pipelined, out of order, and with a limit for every patience.

In: the listening socket that sdd opened inside the sandbox. Out: length-prefixed replies (RFC 7766
§8). No connection waits for another; whoever is slow, idle or wrong is closed.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from typing import Final

from resolver import counters, notes
from resolver.listen import respond, server
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
BACKLOG: Final = 64
PAUSE_S: Final = 0.2  # before accepting is tried again when there was no descriptor for it


class Tcp:
    """The TCP listener of one sandbox."""

    def __init__(self, link: socket.socket, scope: answer.Scope, tools: server.Tools) -> None:
        self._link = link
        self._scope = scope
        self._tools = tools
        self._open: set[asyncio.StreamWriter] = set()
        self._sources: Counter[str] = Counter()  # of all that were accepted and are not closed
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._accept)
        self._pause: asyncio.TimerHandle | None = None

    def see(self, scope: answer.Scope) -> None:
        """Answer from `scope` from now on."""
        self._scope = scope

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._sources.total()

    def close(self) -> None:
        """Stop, and end every connection."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._link.fileno())
        self._link.close()
        for writer in tuple(self._open):
            writer.close()

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                link, (source, _) = self._link.accept()
            except OSError as exc:
                if exc.errno in notes.SCARCE:
                    self._tools.note("accept", f"no TCP client is accepted now: {exc.strerror}")
                    self._wait()
                return  # none left, or one that went away while it waited
            if reason := self._refusal(source):
                link.close()
                self._tools.counts.add(counters.DROPPED, "tcp_limit")
                self._tools.counts.add(counters.TCP_REJECTED, reason)
                continue
            # Here and not once it is served: a burst is accepted before any of it is.
            self._sources[source] += 1
            self._tools.spawn(self._served(link, source))

    def _refusal(self, source: str) -> str:
        """Which limit keeps one more connection from `source` out; empty when none does."""
        if self._sources.total() >= CONNECTIONS:
            return "sandbox"
        return "source" if source != SHARED and self._sources[source] >= A_SOURCE else ""

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
            self._sources -= Counter((source,))  # and no key stays at 0

    async def _serve(self, link: socket.socket) -> None:
        link.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=link)
        self._open.add(writer)
        if self._link.fileno() < 0:
            writer.close()  # the sandbox went meanwhile
        slots = asyncio.Semaphore(PIPELINE)
        try:
            async with asyncio.TaskGroup() as work:
                for _ in range(QUERIES):
                    if not (data := await _message(reader)):
                        break  # the client has said all; its answers are still on their way
                    await slots.acquire()
                    work.create_task(self._answer(data, writer, slots), name="dns-tcp-answer")
        except* _Broken:
            self._tools.counts.add(counters.MALFORMED, "framing")
        except* (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # slow, gone or wrong: closing is the answer
        finally:
            self._open.discard(writer)
            await _closed(writer)

    async def _answer(
        self, data: bytes, writer: asyncio.StreamWriter, slots: asyncio.Semaphore
    ) -> None:
        try:
            said = self._tools.responder.respond(data, self._scope, stream=True)
            if said is None:
                raise _Broken  # a message that is no query: nothing sensible follows
            if isinstance(said, respond.Said):
                reply = said.reply
            else:
                reply = await server.admitted(self._tools, self._scope, said, data, stream=True)
            writer.write(len(reply).to_bytes(2, "big") + reply)
            async with asyncio.timeout(WRITE_S):
                await writer.drain()
        finally:
            slots.release()


class _Broken(Exception):
    """The stream holds something that is no DNS message."""


async def _message(reader: asyncio.StreamReader) -> bytes:
    """The next message, empty at the end; raises when it comes too slowly or is too short."""
    async with asyncio.timeout(IDLE_S):
        first = await reader.read(1)
    if not first:
        return b""
    async with asyncio.timeout(MESSAGE_S):
        size = int.from_bytes(first + await reader.readexactly(1), "big")
        if size < wire.HEADER:
            raise _Broken
        return await reader.readexactly(size)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(WRITE_S):
            await writer.wait_closed()

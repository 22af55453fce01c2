"""DNS over TLS: one connection, many questions at once (RFC 7858, 7766).

In: a connected socket. Out: a session, until it is idle or the server ends it.
"""

import asyncio
import itertools
import secrets
import socket

from resolver import protocol
from resolver.upstream import sessions, tls
from resolver.upstream.allowance import AT_ONCE, Allowance
from resolver.upstream.sessions import IDLE_S, OPEN_S, Said

ALPN = "dot"
_IDS = 1 << 16
_ALLOWED, _MOST_ALLOWED = 64, 2048  # messages beyond answers; with late ones (forward.TOTAL_S)


class Dot:
    """Questions of a connection are told apart by ids of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = self.answered = 0
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._ended = False
        self._allowance = Allowance(_ALLOWED, each=1, most=_MOST_ALLOWED)

    @property
    def is_open(self) -> bool:
        """Whether another question may be asked."""
        return not self._ended and len(self._waiting) < _IDS // 2

    async def ask(self, message: bytes) -> Said:
        """The reply under the id of `message`; raises OSError when the connection ends first."""
        if self._ended:
            raise ConnectionResetError
        identity = secrets.randbelow(_IDS)
        while identity in self._waiting:
            identity = secrets.randbelow(_IDS)
        waiting = self._waiting[identity] = asyncio.get_running_loop().create_future()
        try:
            framed = len(message).to_bytes(2, "big") + identity.to_bytes(2, "big") + message[2:]
            self._writer.write(framed)
            self._allowance.ask()
            said = await waiting
            self.answered += 1
            return Said(message[:2] + said[2:])
        finally:
            del self._waiting[identity]

    def close(self) -> None:
        """End it; whoever waits gets OSError."""
        self._ended = True
        self._writer.transport.abort()  # at once: a lent socket serves another soon
        for each in self._waiting.values():
            if not each.done():
                each.set_exception(ConnectionResetError())

    async def read(self) -> None:
        """Give out what comes, until nothing did for a while.

        Raises OSError when the server ends it or sends what nobody asked for.
        """
        for piece in itertools.count(1):
            if not piece % AT_ONCE:
                await asyncio.sleep(0)  # what has come already is read without a turn
            try:
                async with asyncio.timeout(IDLE_S):
                    head = await self._reader.readexactly(2)
            except TimeoutError:
                if self._waiting:
                    continue
                return
            async with asyncio.timeout(OPEN_S):  # who has begun a message ends it
                message = await self._reader.readexactly(int.from_bytes(head, "big"))
            self.heard += 1
            if not self._allowance.take():
                raise ConnectionResetError("too much that nobody asked for")
            waiting = self._waiting.get(int.from_bytes(message[:2], "big"))
            if waiting is not None and not waiting.done():
                waiting.set_result(message)


async def live(link: socket.socket, server: protocol.Upstream, opened: sessions.Opened) -> None:
    """Shake hands, say so, and read until the end; raises OSError."""
    reader, writer = await tls.shaken(link, server, ALPN)
    session = Dot(reader, writer)
    try:
        opened(session)
        await session.read()
    except asyncio.IncompleteReadError as exc:
        raise ConnectionResetError from exc
    finally:
        session.close()

"""DNS over HTTPS: questions as POST requests on one HTTP/2 connection (RFC 8484).

In: a connected socket. Out: a session, until it is idle or the server ends it.
"""

import asyncio
import socket
from typing import Final

from resolver import protocol
from resolver.upstream import http2, sessions, tls
from resolver.upstream.sessions import IDLE_S, OPEN_S, Said

ALPN: Final = "h2"
HTTPS: Final = 443
_OK: Final = 200
_ROOM: Final = 1 << 16


class Doh:
    """Each question is a stream; the message's id is 0 on the way, for caches' sake (§4.1)."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: protocol.Upstream,
    ) -> None:
        self.heard = self.answered = 0
        self._reader = reader
        self._writer = writer
        self._authority = authority(server)
        self._path = server.path
        self._connection = http2.Connection()
        self._waiting: dict[int, asyncio.Future[http2.Response]] = {}
        self._room = asyncio.Event()
        self._ended = False
        writer.write(self._connection.greeting())

    @property
    def is_open(self) -> bool:
        """Whether another question may be asked."""
        return self._connection.is_open and not self._ended

    async def ask(self, message: bytes) -> Said:
        """The reply under the id of `message`.

        Raises OSError when the connection takes no more questions or gives this one back, and
        Declined for any status but 200.
        """
        while self.is_open and not self._connection.has_room:
            self._room.clear()
            await self._room.wait()
        if self._ended:
            raise ConnectionResetError
        try:
            body = b"\0\0" + message[2:]
            stream, data = self._connection.request(self._authority, self._path, body)
        except http2.Broken as exc:
            raise sessions.GivenBack from exc
        waiting = self._waiting[stream] = asyncio.get_running_loop().create_future()
        self._writer.write(data)
        try:
            response = await waiting
        finally:
            del self._waiting[stream]
            if (cancelled := self._connection.cancel(stream)) and not self._ended:
                self._writer.write(cancelled)
            self._room.set()
        if not response.status and not self._connection.is_open:
            raise sessions.GivenBack
        if response.status != _OK:
            raise sessions.Declined(f"HTTP status {response.status}")
        self.answered += 1
        return Said(message[:2] + response.body[2:], response.age_s)

    def close(self) -> None:
        """End it; whoever waits gets OSError."""
        self._ended = True
        self._writer.transport.abort()  # at once: a lent socket serves another soon
        self._room.set()
        for each in self._waiting.values():
            if not each.done():
                each.set_exception(ConnectionResetError())

    def _work_off(self, data: bytes) -> None:
        done, out = self._connection.feed(data)
        if out and not self._ended:
            self._writer.write(out)
        self._room.set()
        for each in done:
            waiting = self._waiting.get(each.stream)
            if waiting is not None and not waiting.done():
                waiting.set_result(each)

    async def read(self) -> None:
        """Give out what comes, until nothing did for a while.

        Raises http2.Broken, and OSError when the server takes nothing any more.

        A connection that takes no more questions ends with its last answer.
        """
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    data = await self._reader.read(_ROOM)
            except TimeoutError:
                if self._waiting:
                    continue
                return
            if not data:
                return
            self.heard += 1
            self._work_off(data)
            while self._connection.is_behind:
                await asyncio.sleep(0)
                self._work_off(b"")
            async with asyncio.timeout(OPEN_S):
                await self._writer.drain()  # who reads nothing is not read either
            if not self.is_open and all(each.done() for each in self._waiting.values()):
                return


def authority(server: protocol.Upstream) -> str:
    """The host of the URL."""
    bare = server.name or server.address
    host = f"[{bare}]" if ":" in bare else bare
    return host if server.port == HTTPS else f"{host}:{server.port}"


async def live(link: socket.socket, server: protocol.Upstream, opened: sessions.Opened) -> None:
    """Shake hands, say so, and read until the end; raises OSError."""
    reader, writer = await tls.shaken(link, server, ALPN)
    if writer.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
        writer.transport.abort()
        raise ConnectionRefusedError("the server has no HTTP/2")
    session = Doh(reader, writer, server)
    try:
        opened(session)
        await session.read()
    except http2.Broken as exc:
        raise ConnectionResetError from exc
    finally:
        session.close()

"""Connections to upstreams that are kept: TLS, HTTPS and QUIC, opened once and shared.

In: messages for a server. Out: its replies. A connection lives in a task of its own, which holds
the socket it was lent; it ends when it was idle for a while, when the server ends it, or when
nothing comes back on it. A question on a connection that turns out to be gone is asked once more.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Final, NamedTuple, Protocol

from resolver import protocol
from resolver.upstream.sockets import Dial, NoReply, Why, address

IDLE_S: Final = 10.0
OPEN_S: Final = 4.5  # a handshake may outlast the question that asked for it
ATTEMPTS: Final = 2

Spawn = Callable[[Coroutine[None, None, None]], None]


class Said(NamedTuple):
    """A reply, and for how long a cache on its way has held it already."""

    message: bytes
    age_s: int = 0


class Session(Protocol):
    """One open connection; `heard` grows with whatever comes from the server."""

    heard: int

    @property
    def is_open(self) -> bool:
        """Whether another question may be asked on it."""
        ...

    async def ask(self, message: bytes) -> Said:
        """The reply to `message`, id and all; raises OSError when the connection ends first."""
        ...

    def close(self) -> None:
        """End it; whoever waits gets OSError."""
        ...


Opened = Callable[[Session], None]
Key = tuple[protocol.Upstream, str]


class Sessions:
    """At most one connection a server, and a sandbox where it is dialled from inside."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self._open: dict[Key, Session] = {}
        self._opening: dict[Key, asyncio.Future[Session | Why]] = {}

    async def ask(
        self, dial: Dial, server: protocol.Upstream, sandbox: str, message: bytes
    ) -> Said:
        """The server's reply; raises NoReply. The caller sets the deadline."""
        key = server, sandbox if server.inside else ""
        for _ in range(ATTEMPTS):
            session = self._open.get(key)
            reused = session is not None and session.is_open
            if session is None or not session.is_open:
                session = await self._opened(key, dial)
            try:
                return await self._asked(session, message)
            except OSError as exc:
                session.close()
                if not reused:
                    raise NoReply(Why.REFUSED) from exc
        raise NoReply(Why.REFUSED)

    async def _asked(self, session: Session, message: bytes) -> Said:
        heard = session.heard
        try:
            return await session.ask(message)
        except asyncio.CancelledError:
            if session.heard == heard:
                session.close()  # the way there may be gone without a word
            raise

    async def _opened(self, key: Key, dial: Dial) -> Session:
        opening = self._opening.get(key)
        if opening is None:
            opening = self._opening[key] = asyncio.get_running_loop().create_future()
            self._spawn(self._live(key, dial, opening))
        found = await asyncio.shield(opening)
        if isinstance(found, Why):
            raise NoReply(found)
        return found

    async def _live(self, key: Key, dial: Dial, opening: "asyncio.Future[Session | Why]") -> None:
        """The life of one connection."""
        opened: list[Session] = []

        def told(session: Session) -> None:
            opened.append(session)
            self._open[key] = session
            opening.set_result(session)

        why = Why.REFUSED
        try:
            await _run(key[0], dial, told)
        except TimeoutError:
            why = Why.TIMEOUT
        except ssl.SSLError:
            why = Why.TLS
        except ImportError:
            why = Why.UNSUPPORTED
        except OSError:
            pass
        finally:
            self._opening.pop(key, None)
            if not opening.done():
                opening.set_result(why)
            for session in opened:
                session.close()
                if self._open.get(key) is session:
                    del self._open[key]


async def _run(server: protocol.Upstream, dial: Dial, opened: Opened) -> None:
    """Connect, shake hands, say so, and stay until the end."""
    loop = asyncio.get_running_loop()
    is_quic = server.transport == "quic"
    async with dial.udp() if is_quic else dial.tcp() as link:
        async with asyncio.timeout(OPEN_S):
            await loop.sock_connect(link, address(link, server))
        own = link.dup()  # asyncio closes what it is given; a lent socket must stay
        try:
            await _transport(server.transport)(own, server, opened)
        finally:
            own.close()


Live = Callable[[socket.socket, protocol.Upstream, Opened], Coroutine[None, None, None]]


def _transport(name: str) -> Live:
    """Loaded when first used: most workers need none of them."""
    if name == "tls":
        from resolver.upstream import dot

        return dot.live
    if name == "https":
        from resolver.upstream import doh

        return doh.live
    from resolver.upstream import doq

    return doq.live

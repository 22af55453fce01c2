"""Sockets towards upstreams: where they come from, and one exchange over TCP.

In: a message and a server. Out: a reply that `forward.judge` believes, or why there is none. From
the host's namespace sockets are opened here; from inside a sandbox there are those of `lending`.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from resolver import protocol
from resolver.upstream import forward

# What the kernel says when something is short here, which is no fault of the server.
SHORT: Final = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.EADDRNOTAVAIL,
    }
)
# No way leads there from here, or a firewall lets nothing out: nobody was asked, none can refuse.
NO_WAY: Final = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EACCES,
        errno.EPERM,
    }
)
_DATAGRAMS = int(socket.SOCK_DGRAM) | int(socket.SOCK_NONBLOCK)  # each in Python is dear


class Why(StrEnum):
    """The reasons for which an exchange brings nothing; label values of the counters."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    MISMATCH = "mismatch"
    CHAIN = "too_many_aliases"
    TRUNCATED = "truncated"  # what must be whole is not
    TLS = "tls"
    UNSUPPORTED = "unsupported"
    LOOP = "loop"
    LOST = "lost"  # a kept connection is gone, which says nothing of the server
    CLOSED = "closed"  # the connection, before an answer
    SHORT = "short"  # of sockets or memory here: nobody was asked
    REPLACED = "replaced"  # the sandbox's sockets, or they are gone with its servers: nobody either
    DECLINED = "declined"  # this question alone, over a connection that is well


# Nobody is there, or nobody who can prove it: the next question would fare no better.
GONE: Final = frozenset({Why.TLS, Why.REFUSED, Why.UNREACHABLE})


class NoReply(Exception):
    """Nothing came that could be believed; `detail` is for people, empty when `why` says it all."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.why}: {self.detail}" if self.detail else self.why.value


class Unreached(NoReply):
    """No connection came to be, whatever was to be asked on it."""


class Unproven(NoReply):
    """The server's certificate is not believed, and would not be if it were asked for again."""


def why_of(exc: OSError) -> Why:
    """What a system call's failure says: the server's or ours."""
    if exc.errno in NO_WAY:
        return Why.UNREACHABLE
    return Why.SHORT if exc.errno in SHORT else Why.REFUSED


def detail_of(exc: OSError) -> str:
    """What the kernel said, where that tells more than `why_of`."""
    return exc.strerror or "" if exc.errno in NO_WAY else ""


class Holder(Protocol):
    """Who keeps a socket for longer than an exchange, to have it when it is needed again."""

    @property
    def idle_since(self) -> float | None:
        """From when on it has been of no use (loop's time); None while it is."""
        ...

    def let_go(self) -> None:
        """Give it back soon: somebody else waits for one."""
        ...


class Dial(Protocol):
    """Where sockets come from that reach servers of one family."""

    def take(self, have: int) -> socket.socket | None:
        """A UDP socket as from `udp`, without waiting; None when none is free.

        `have` tells how many are in use towards the same server. The taker gives it back.
        """
        ...

    def spare(self) -> socket.socket | None:
        """The UDP socket that `take` never gives: for all servers that find none of their own."""
        ...

    def give(self, link: socket.socket) -> None:
        """Back from whoever took it."""
        ...

    def udp(self, holder: Holder | None = None) -> AbstractAsyncContextManager[socket.socket]:
        """A non-blocking UDP socket without a port, for one exchange or for `holder`."""
        ...

    def tcp(self, holder: Holder | None = None) -> AbstractAsyncContextManager[socket.socket]:
        """A non-blocking unconnected TCP socket, for one exchange or for `holder`."""
        ...

    def look(self) -> None:
        """A holder has become idle: somebody may wait for his socket."""
        ...


class _Opened:
    """A new socket for the length of an `async with`."""

    __slots__ = ("_link",)

    def __init__(self, family: int, kind: int) -> None:
        self._link = socket.socket(family, kind | socket.SOCK_NONBLOCK)

    async def __aenter__(self) -> socket.socket:
        return self._link

    async def __aexit__(self, *_: object) -> None:
        self._link.close()


class Host:
    """Opens sockets in the worker's own namespace, the host's."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self._family = family

    def take(self, have: int) -> socket.socket:
        """A new socket."""
        del have
        return socket.socket(self._family, _DATAGRAMS)

    def spare(self) -> socket.socket:
        """A new socket."""
        return self.take(0)

    def give(self, link: socket.socket) -> None:
        """Close it."""
        link.close()

    def udp(self, holder: Holder | None = None) -> _Opened:
        """A new socket; the kernel picks its port at random when it is connected."""
        del holder
        return _Opened(self._family, socket.SOCK_DGRAM)

    def tcp(self, holder: Holder | None = None) -> _Opened:
        """A new socket."""
        del holder
        return _Opened(self._family, socket.SOCK_STREAM)

    def look(self) -> None:
        """Nobody waits here."""


HOST4: Final = Host(socket.AF_INET)
HOST6: Final = Host(socket.AF_INET6)


def always() -> bool:
    """Of a question of our own: nobody who asks it can lose his servers."""
    return True


class Way(NamedTuple):
    """Whom an exchange is with, and until when: `deadline` is a time of the event loop.

    `goes_on` tells whether it may still be asked at all (CVE-2024-29018), before each further step.
    """

    server: protocol.Upstream
    dial: Dial
    deadline: float
    goes_on: Callable[[], bool] = always


async def over_tcp(way: Way, sent: forward.Sent) -> bytes:
    """The reply of a server that is asked over TCP; raises NoReply, Unreached if not connected.

    Being cancelled leaves nothing behind.
    """
    fails, late = NoReply, Why.SHORT
    try:
        async with asyncio.timeout_at(way.deadline), way.dial.tcp() as link:
            fails, late = Unreached, Why.TIMEOUT
            await asyncio.get_running_loop().sock_connect(link, address(way.server))
            fails = NoReply
            try:
                return await _over_tcp(link, sent)
            except ConnectionError as exc:
                raise NoReply(Why.CLOSED) from exc
    except TimeoutError:  # an OSError, too
        raise fails(late) from None
    except OSError as exc:
        why = why_of(exc)
        raise (NoReply if why is Why.SHORT else fails)(why, detail_of(exc)) from exc


async def _over_tcp(link: socket.socket, sent: forward.Sent) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(link, len(sent.message).to_bytes(2, "big") + sent.message)
    size = int.from_bytes(await _exactly(link, 2), "big")
    data = await _exactly(link, size)
    # Over TCP nothing more could be fetched: a TC bit there is the server's own mistake. The case
    # proves nothing where nobody can send in the server's name.
    trust = forward.judge(data, sent)
    if trust is forward.Trust.BARE:
        return forward.asked_again(data, sent)
    if trust not in (forward.Trust.GOOD, forward.Trust.OTHER_CASE):
        raise NoReply(Why.TRUNCATED if trust is forward.Trust.TRUNCATED else Why.MISMATCH)
    return data


def address(server: protocol.Upstream) -> tuple[str, int]:
    """What to connect a socket of its family to."""
    return server.address, server.port


async def _exactly(link: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        part = await loop.sock_recv(link, size - len(data))
        if not part:
            raise NoReply(Why.CLOSED)
        data += part
    return data

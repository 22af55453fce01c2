"""Sockets towards upstreams: where they come from, and one exchange over TCP.

In: a message and a server. Out: a reply that `forward.judge` believes, or why there is none. From
the host's namespace sockets are opened here; from inside a sandbox sdd has opened some and handed
them over: disconnecting one (AF_UNSPEC) releases its port, so the next question has another.
"""

import asyncio
import contextlib
import ctypes
import errno
import functools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from resolver import protocol
from resolver.upstream import forward

LEND_S: Final = 0.5  # how long a lent socket is waited for; then they are too few
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
_UNSPEC = b"\0" * 16  # struct sockaddr with AF_UNSPEC: connect(2) dissolves the association


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


def why_of(exc: OSError) -> Why:
    """What a system call's failure says: the server's or ours."""
    if exc.errno in NO_WAY:
        return Why.UNREACHABLE
    return Why.SHORT if exc.errno in SHORT else Why.REFUSED


def detail_of(exc: OSError) -> str:
    """What the kernel said, where that tells more than `why_of`."""
    return exc.strerror or "" if exc.errno in NO_WAY else ""


class Dial(Protocol):
    """Where sockets come from."""

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

    def udp(self) -> "contextlib.AbstractAsyncContextManager[socket.socket]":
        """A non-blocking UDP socket without a port, for one exchange."""
        ...

    def tcp(self) -> "contextlib.AbstractAsyncContextManager[socket.socket]":
        """A non-blocking unconnected TCP socket, for one exchange."""
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

    def udp(self) -> _Opened:
        """A new socket; the kernel picks its port at random when it is connected."""
        return _Opened(self._family, socket.SOCK_DGRAM)

    def tcp(self) -> _Opened:
        """A new socket."""
        return _Opened(self._family, socket.SOCK_STREAM)


HOST4: Final = Host(socket.AF_INET)
HOST6: Final = Host(socket.AF_INET6)


class Inside:
    """Lends the sockets that sdd opened inside one sandbox.

    One server is given a quarter of those for UDP at most, so that others find some, and one is
    left for all that find none.
    """

    def __init__(self, udp: list[socket.socket], tcp: list[socket.socket]) -> None:
        spare = udp[1:][-1:]
        self._left = spare[0] if spare else None
        self._spare = _Shelf(spare)
        self._udp = _Shelf(udp[: len(udp) - len(spare)])
        self._tcp = _Shelf(tcp)
        self._share = max(1, len(udp) // 4)

    def close(self) -> None:
        """Release them all, those that are lent as soon as they come back."""
        for each in (self._udp, self._spare, self._tcp):
            each.close()

    def take(self, have: int) -> socket.socket | None:
        """One that is free, without an address and a port."""
        return None if have >= self._share else self._udp.take()

    def spare(self) -> socket.socket | None:
        """The one that is left, unless it is in use or there is only one at all."""
        return self._spare.take()

    def give(self, link: socket.socket) -> None:
        """Free again."""
        (self._spare if link is self._left else self._udp).give(link)

    def udp(self) -> "contextlib.AbstractAsyncContextManager[socket.socket]":
        """The next free one, without an address and a port; raises NoReply."""
        return self._udp.lent()

    def tcp(self) -> "contextlib.AbstractAsyncContextManager[socket.socket]":
        """The next free one, unconnected; raises NoReply."""
        return self._tcp.lent()


class _Shelf:
    """Sockets of one kind, each free or lent; whoever waits longest gets the next one.

    Each sandbox has three, most of them empty: an `asyncio.Queue` would take 3 KiB.
    """

    __slots__ = ("_askers", "_free", "_is_closed")

    def __init__(self, links: list[socket.socket]) -> None:
        self._free = list(links)  # the one that was used longest ago comes first
        self._askers: list[asyncio.Future[socket.socket]] = []
        self._is_closed = False
        for link in links:
            _dissolve(link)  # a worker that died may have asked somebody with it

    def close(self) -> None:
        self._is_closed = True
        while (link := self.take()) is not None:
            link.close()

    def take(self) -> socket.socket | None:
        return self._free.pop(0) if self._free else None

    def give(self, link: socket.socket) -> None:
        if self._is_closed:
            link.close()
            return
        _dissolve(link)
        while self._askers:
            if not (asker := self._askers.pop(0)).done():
                asker.set_result(link)
                return
        self._free.append(link)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[socket.socket]:
        try:
            async with asyncio.timeout(LEND_S):
                link = self.take() or await self._asked()
        except TimeoutError:
            raise NoReply(Why.SHORT) from None
        try:
            yield link
        finally:
            self.give(link)

    async def _asked(self) -> socket.socket:
        """The next one that is given back."""
        asker: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        self._askers.append(asker)
        try:
            return await asker
        except asyncio.CancelledError:
            if asker.done() and not asker.cancelled():  # it came too late for us
                self.give(asker.result())
            raise
        finally:
            if asker in self._askers:
                self._askers.remove(asker)


def _dissolve(link: socket.socket) -> None:
    """Forget peer, port and whatever is still in the queue."""
    with contextlib.suppress(OSError):
        _libc_connect(link)
    if link.type == socket.SOCK_DGRAM:
        with contextlib.suppress(OSError):
            while link.recv(1):
                pass


def _libc_connect(link: socket.socket) -> None:
    """connect(2) with AF_UNSPEC, which Python's own connect cannot say."""
    _libc().connect(link.fileno(), _UNSPEC, len(_UNSPEC))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class Way(NamedTuple):
    """Whom an exchange is with, and until when: `deadline` is a time of the event loop."""

    server: protocol.Upstream
    dial: Dial
    deadline: float


async def over_tcp(way: Way, sent: forward.Sent) -> bytes:
    """The reply of a server that is asked over TCP; raises NoReply, Unreached if not connected.

    Being cancelled leaves nothing behind.
    """
    fails, late = NoReply, Why.SHORT
    try:
        async with asyncio.timeout_at(way.deadline), way.dial.tcp() as link:
            fails, late = Unreached, Why.TIMEOUT
            await asyncio.get_running_loop().sock_connect(link, address(link, way.server))
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


def address(link: socket.socket, server: protocol.Upstream) -> tuple[str, int]:
    """What to connect `link` to; an IPv6 socket reaches an IPv4 server by its mapped address."""
    mapped = link.family is socket.AF_INET6 and ":" not in server.address
    return (f"::ffff:{server.address}" if mapped else server.address), server.port


async def _exactly(link: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        part = await loop.sock_recv(link, size - len(data))
        if not part:
            raise NoReply(Why.CLOSED)
        data += part
    return data

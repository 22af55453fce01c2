"""Sockets towards upstreams: one exchange at a time on each, fresh ports for every question.

In: a message and a server. Out: a reply that `forward.judge` believes, or why there is none. From
the host's namespace sockets are opened here; from inside a sandbox sdd has opened some and handed
them over: disconnecting one (AF_UNSPEC) releases its port, so the next question has another.
"""

import asyncio
import contextlib
import ctypes
import functools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from resolver import counters, protocol
from resolver.upstream import forward
from resolver.upstream.arrivals import Arrivals

RECEIVE: Final = 65535
_UNSPEC = b"\0" * 16  # struct sockaddr with AF_UNSPEC: connect(2) dissolves the association


class Why(StrEnum):
    """The reasons for which an exchange brings nothing; label values of the counters."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    MISMATCH = "mismatch"
    TLS = "tls"
    UNSUPPORTED = "unsupported"
    LOOP = "loop"
    LOST = "lost"  # a kept connection is gone, which says nothing of the server
    DECLINED = "declined"  # this question alone, over a connection that is well


class NoReply(Exception):
    """Nothing came that could be believed."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class Dial(Protocol):
    """Where sockets come from."""

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

    def udp(self) -> _Opened:
        """A new socket; the kernel picks its port at random when it is connected."""
        return _Opened(self._family, socket.SOCK_DGRAM)

    def tcp(self) -> _Opened:
        """A new socket."""
        return _Opened(self._family, socket.SOCK_STREAM)


HOST4: Final = Host(socket.AF_INET)
HOST6: Final = Host(socket.AF_INET6)


class Inside:
    """Lends the sockets that sdd opened inside one sandbox, each to one exchange at a time."""

    def __init__(self, udp: list[socket.socket], tcp: list[socket.socket]) -> None:
        self._all = (*udp, *tcp)
        self._udp = _queue(udp)
        self._tcp = _queue(tcp)

    def close(self) -> None:
        """Release them all."""
        for link in self._all:
            link.close()

    def udp(self) -> "contextlib.AbstractAsyncContextManager[socket.socket]":
        """The next free one, without an address and a port."""
        return _lent(self._udp)

    def tcp(self) -> "contextlib.AbstractAsyncContextManager[socket.socket]":
        """The next free one, unconnected."""
        return _lent(self._tcp)


def _queue(links: list[socket.socket]) -> asyncio.Queue[socket.socket]:
    queue: asyncio.Queue[socket.socket] = asyncio.Queue()
    for link in links:
        queue.put_nowait(link)
    return queue


@asynccontextmanager
async def _lent(queue: asyncio.Queue[socket.socket]) -> AsyncIterator[socket.socket]:
    link = await queue.get()
    try:
        _dissolve(link)
        yield link
    finally:
        _dissolve(link)
        queue.put_nowait(link)


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
    arrivals: Arrivals
    deadline: float


async def exchange(
    way: Way,
    sent: forward.Sent,
    health: forward.Health,
    suspect: Callable[[counters.Suspect], None],
) -> tuple[bytes, str]:
    """The reply and its transport: TCP when the UDP one was cut or lost its case.

    Raises NoReply, and TimeoutError at the deadline. Being cancelled leaves nothing behind.
    """
    try:
        async with way.dial.udp() as link:
            data, trust = await _over_udp(way, link, sent, suspect)
        if trust is forward.Trust.GOOD:
            return data, "udp"
        if trust is forward.Trust.OTHER_CASE:
            health.case_losses += 1
            suspect(counters.Suspect.CASE)
        async with asyncio.timeout_at(way.deadline), way.dial.tcp() as link:
            return await _over_tcp(link, way.server, sent), "tcp"
    except TimeoutError:  # an OSError, too
        raise
    except OSError as exc:
        raise NoReply(Why.REFUSED) from exc


async def over_tcp(way: Way, sent: forward.Sent) -> bytes:
    """The reply of a server that is asked over TCP only. Raises as `exchange` does."""
    try:
        async with asyncio.timeout_at(way.deadline), way.dial.tcp() as link:
            return await _over_tcp(link, way.server, sent)
    except TimeoutError:  # an OSError, too
        raise
    except OSError as exc:
        raise NoReply(Why.REFUSED) from exc


async def _over_udp(
    way: Way,
    link: socket.socket,
    sent: forward.Sent,
    suspect: Callable[[counters.Suspect], None],
) -> tuple[bytes, forward.Trust]:
    """A reply that is ours, perhaps truncated. Foreign ones are passed over until the deadline."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[bytes, forward.Trust]] = loop.create_future()
    link.connect(address(link, way.server))  # of UDP this only sets addresses: it never blocks
    link.send(sent.message)
    way.arrivals.expect(link, functools.partial(_arrived, link, sent, suspect, found))
    patience = loop.call_at(way.deadline, _too_late, found)
    try:
        return await found
    finally:
        patience.cancel()
        way.arrivals.forget(link)


def _arrived(
    link: socket.socket,
    sent: forward.Sent,
    suspect: Callable[[counters.Suspect], None],
    found: "asyncio.Future[tuple[bytes, forward.Trust]]",
) -> None:
    if found.done():
        return
    try:
        data = link.recv(RECEIVE)
    except BlockingIOError:
        return
    except OSError as exc:
        found.set_exception(exc)
        return
    trust = forward.judge(data, sent)
    if trust is not forward.Trust.FOREIGN:
        found.set_result((data, trust))
        return
    same_id = data[:2] == sent.message[:2]
    suspect(counters.Suspect.QUESTION if same_id else counters.Suspect.ID)


def _too_late(found: "asyncio.Future[tuple[bytes, forward.Trust]]") -> None:
    if not found.done():
        found.set_exception(TimeoutError())


async def _over_tcp(link: socket.socket, server: protocol.Upstream, sent: forward.Sent) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(link, address(link, server))
    await loop.sock_sendall(link, len(sent.message).to_bytes(2, "big") + sent.message)
    size = int.from_bytes(await _exactly(link, 2), "big")
    data = await _exactly(link, size)
    # Over TCP nothing more could be fetched: a TC bit there is the server's own mistake. The case
    # proves nothing where nobody can send in the server's name.
    if forward.judge(data, sent) not in (forward.Trust.GOOD, forward.Trust.OTHER_CASE):
        raise NoReply(Why.MISMATCH)
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
            raise NoReply(Why.MISMATCH)
        data += part
    return data

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
from typing import Final, Protocol

from resolver import counters, forward, protocol

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


class Host:
    """Opens sockets in the worker's own namespace, the host's."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self._family = family

    @asynccontextmanager
    async def udp(self) -> AsyncIterator[socket.socket]:
        """A new socket; the kernel picks its port at random when it is connected."""
        with socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:
            yield link

    @asynccontextmanager
    async def tcp(self) -> AsyncIterator[socket.socket]:
        """A new socket."""
        with socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as link:
            yield link


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

    @asynccontextmanager
    async def udp(self) -> AsyncIterator[socket.socket]:
        """The next free one, without an address and a port."""
        async with _lent(self._udp) as link:
            yield link

    @asynccontextmanager
    async def tcp(self) -> AsyncIterator[socket.socket]:
        """The next free one, unconnected."""
        async with _lent(self._tcp) as link:
            yield link


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


async def exchange(
    dial: Dial,
    server: protocol.Upstream,
    sent: forward.Sent,
    health: forward.Health,
    suspect: Callable[[counters.Suspect], None],
) -> tuple[bytes, str]:
    """The reply and its transport: TCP when the UDP one was cut or lost its case. Raises NoReply.

    The caller sets the deadline; being cancelled leaves nothing behind.
    """
    try:
        async with dial.udp() as link:
            data, trust = await _over_udp(link, server, sent, suspect)
        if trust is forward.Trust.GOOD:
            return data, "udp"
        if trust is forward.Trust.OTHER_CASE:
            health.case_losses += 1
            suspect(counters.Suspect.CASE)
        async with dial.tcp() as link:
            return await _over_tcp(link, server, sent), "tcp"
    except OSError as exc:
        raise NoReply(Why.REFUSED) from exc


async def over_tcp(dial: Dial, server: protocol.Upstream, sent: forward.Sent) -> bytes:
    """The reply of a server that is asked over TCP only. Raises NoReply."""
    try:
        async with dial.tcp() as link:
            return await _over_tcp(link, server, sent)
    except OSError as exc:
        raise NoReply(Why.REFUSED) from exc


async def _over_udp(
    link: socket.socket,
    server: protocol.Upstream,
    sent: forward.Sent,
    suspect: Callable[[counters.Suspect], None],
) -> tuple[bytes, forward.Trust]:
    """A reply that is ours, perhaps truncated. Foreign ones are passed over until the deadline."""
    loop = asyncio.get_running_loop()
    await loop.sock_connect(link, address(link, server))
    await loop.sock_sendall(link, sent.message)
    while True:
        data = await loop.sock_recv(link, RECEIVE)
        trust = forward.judge(data, sent)
        if trust is not forward.Trust.FOREIGN:
            return data, trust
        same_id = data[:2] == sent.message[:2]
        suspect(counters.Suspect.QUESTION if same_id else counters.Suspect.ID)


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

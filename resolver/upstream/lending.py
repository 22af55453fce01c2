"""The sockets of a sandbox towards upstreams, which sdd opened inside and handed over.

In: those of one family. Out: one at a time for whoever asks, without an address and a port:
disconnecting it (AF_UNSPEC) releases its port, so the next question has another.
"""

import asyncio
import contextlib
import ctypes
import functools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from resolver.upstream.sockets import Holder, NoReply, Why

LEND_S: Final = 0.5  # how long a lent socket is waited for; then they are too few
REPLACED: Final = "its sandbox just gets other sockets, or needs none any more"
_UNSPEC = b"\0" * 16  # struct sockaddr with AF_UNSPEC: connect(2) dissolves the association


class Inside:
    """Lends the sockets of one family that sdd opened inside one sandbox.

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

    def udp(
        self, holder: Holder | None = None
    ) -> contextlib.AbstractAsyncContextManager[socket.socket]:
        """The next free one, without an address and a port; raises NoReply."""
        return self._udp.lent(holder)

    def tcp(
        self, holder: Holder | None = None
    ) -> contextlib.AbstractAsyncContextManager[socket.socket]:
        """The next free one, unconnected; raises NoReply."""
        return self._tcp.lent(holder)

    def look(self) -> None:
        """Whoever waits has the socket of who has been idle the longest."""
        self._udp.make_room()
        self._tcp.make_room()


class _Shelf:
    """Sockets of one kind, each free or lent; whoever waits longest gets the next one.

    Where none is free that of a holder is, who needs it least. Each sandbox has three, most of
    them empty: an `asyncio.Queue` would take 3 KiB.
    """

    __slots__ = ("_askers", "_free", "_holders", "_is_closed", "_leaving")

    def __init__(self, links: list[socket.socket]) -> None:
        self._free = list(links)  # the one that was used longest ago comes first
        self._askers: list[asyncio.Future[socket.socket]] = []
        self._holders: list[Holder] = []
        self._leaving: list[Holder] = []  # those that were asked to give theirs back
        self._is_closed = False
        for link in links:
            _dissolve(link)  # a worker that died may have asked somebody with it

    def close(self) -> None:
        self._is_closed = True
        while (link := self.take()) is not None:
            link.close()
        for each in self._askers:  # none is given back to them
            if not each.done():
                each.set_exception(NoReply(Why.REPLACED, REPLACED))
        self._askers.clear()

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

    def make_room(self) -> None:
        """For as many as wait."""
        for _ in range(sum(not each.done() for each in self._askers) - len(self._leaving)):
            idle = ((each.idle_since, each) for each in self._holders)
            least = min(
                ((since, each) for since, each in idle if since is not None),
                key=lambda one: one[0],
                default=None,
            )
            if least is None:
                return
            self._holders.remove(least[1])
            self._leaving.append(least[1])
            least[1].let_go()

    @asynccontextmanager
    async def lent(self, holder: Holder | None) -> AsyncIterator[socket.socket]:
        if self._is_closed:
            raise NoReply(Why.REPLACED, REPLACED)
        try:
            async with asyncio.timeout(LEND_S):
                link = self.take() or await self._asked()
        except TimeoutError:
            raise NoReply(Why.SHORT) from None
        if holder:
            self._holders.append(holder)
        try:
            yield link
        finally:
            for those in (self._holders, self._leaving):
                if holder in those:
                    those.remove(holder)
            self.give(link)

    async def _asked(self) -> socket.socket:
        """The next one that is given back."""
        asker: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        self._askers.append(asker)
        self.make_room()
        try:
            return await asker
        except asyncio.CancelledError:
            came = asker.done() and not asker.cancelled()
            if came and asker.exception() is None:  # it came too late for us
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

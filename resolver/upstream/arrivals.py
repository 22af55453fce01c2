"""Sockets on each of which one datagram is awaited, behind one entry of the event loop.

asyncio's own way to wait for a socket costs more than the exchange: a handle and five look-ups in
Python to begin and as many to end. Here all of them share an epoll(7) of their own, and where
somebody watches that beside the loop, an answer takes no turn of the loop.
"""

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol

AT_ONCE: Final = 16  # sockets a look; then others have theirs


class Hot(Protocol):
    """Who watches descriptors beside the event loop, as `listen.selector` does."""

    def add_hot(self, descriptor: int, reader: Callable[[], None]) -> None:
        """Call `reader` whenever `descriptor` can be read, until `remove_hot`."""
        ...

    def remove_hot(self, descriptor: int) -> None:
        """No more calls for `descriptor`, which is still open; it was added."""
        ...


class Arrivals:
    """Call within the event loop only; without `hot` that is who watches."""

    def __init__(self, hot: Hot | None = None) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._hot = hot
        if hot:
            hot.add_hot(self._epoll.fileno(), self._look)
        else:
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)

    def expect(self, link: socket.socket, ready: Callable[[], None]) -> None:
        """Call `ready` whenever `link` can be read or has an error, until `forget`."""
        descriptor = link.fileno()
        self._epoll.register(descriptor, select.EPOLLIN)
        self._ready[descriptor] = ready

    def forget(self, link: socket.socket) -> None:
        """No more calls for `link`, which is still open; it was expected."""
        descriptor = link.fileno()
        del self._ready[descriptor]
        self._epoll.unregister(descriptor)

    def close(self) -> None:
        """No more calls for anybody."""
        if self._hot:
            self._hot.remove_hot(self._epoll.fileno())
        else:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._ready.clear()

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0, AT_ONCE):
            # One may have been forgotten by the call for another.
            if ready := self._ready.get(descriptor):
                ready()

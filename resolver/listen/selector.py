"""asyncio's selector with a way in front of it for the sockets that must be fast.

From the kernel's word to a reader's call asyncio takes longer than an answer does: a list of
events, a handle, a turn of the loop. So the listeners wait in an epoll(7) of our own, in which all
that asyncio waits for is one more descriptor. Their readers are called before the loop sees
anything, and it gets a turn only when there is something for it to do.
"""

import select
import selectors
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

AT_ONCE: Final = 64  # sockets a look; then whatever else there is has its turn

Reader = Callable[[], bool]  # whether the loop may have something to do now


class Selector(selectors.BaseSelector):
    """What asyncio registers is waited for as ever; `hot` descriptors have readers of their own.

    A reader runs within `select`, between two turns of the loop, and must not block. Used within
    one thread.
    """

    def __init__(self) -> None:
        self._usual = selectors.EpollSelector()
        self._epoll = select.epoll()
        self._door = self._usual.fileno()
        self._epoll.register(self._door, select.EPOLLIN)
        self._readers: dict[int, Reader] = {}

    def add_hot(self, descriptor: int, reader: Reader) -> None:
        """Call `reader` whenever `descriptor` can be read, until `remove_hot`."""
        self._epoll.register(descriptor, select.EPOLLIN)
        self._readers[descriptor] = reader

    def remove_hot(self, descriptor: int) -> None:
        """No more calls for `descriptor`, which is still open; it was added."""
        del self._readers[descriptor]
        self._epoll.unregister(descriptor)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What asyncio waits for; nothing at the end of `timeout`, or when a reader wants a turn.

        `timeout` in seconds: None waits, 0 or less looks.
        """
        until = None if timeout is None else time.monotonic() + timeout
        left = -1.0 if timeout is None else max(timeout, 0.0)
        while True:
            is_due = is_usual = False
            for descriptor, _ in self._epoll.poll(left, AT_ONCE):
                if descriptor == self._door:
                    is_usual = True  # the others first: it may be the first in every look
                else:
                    is_due |= self._read(descriptor)
            if is_usual:
                return self._usual.select(0)
            if is_due or (until is not None and (left := until - time.monotonic()) <= 0):
                return []

    def _read(self, descriptor: int) -> bool:
        reader = self._readers.get(descriptor)
        if reader is None:
            return False  # it went by the work of another
        try:
            return reader()
        except Exception:  # noqa: BLE001 - one socket's defect ends neither the others nor the loop
            traceback.print_exc()
            return True

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As of any selector."""
        return self._usual.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As of any selector."""
        return self._usual.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As of any selector."""
        return self._usual.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As of any selector; the hot ones are not in it."""
        return self._usual.get_map()

    def close(self) -> None:
        """Release both; the registered descriptors stay open."""
        self._epoll.close()
        self._usual.close()

"""asyncio's selector with a way in front of it for the sockets that must be fast.

From the kernel's word to a reader's call asyncio takes longer than an answer does: a list of
events, a handle, a turn of the loop. So the listeners wait in an epoll(7) of our own, in which all
that asyncio waits for is one more descriptor. Their readers are called before the loop sees
anything, and it gets a turn only when there is something for it to do, which `Loop` tells.
"""

import asyncio
import contextvars
import select
import selectors
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVarTuple

from sdd import defects

AT_ONCE: Final = 64  # sockets a look; then whatever else there is has its turn
A_TURN: Final = 4  # things that the loop does; then the hot readers have their turn

Reader = Callable[[], None]
Arguments = TypeVarTuple("Arguments")


class Selector(selectors.BaseSelector):
    """What asyncio registers is waited for as ever; `hot` descriptors have readers of their own.

    A reader runs within `select`, between two turns of the loop, and must not block. Used within
    one thread. `is_due` is set by whoever gives the loop something to do meanwhile.
    """

    def __init__(self, faults: defects.Defects | None = None) -> None:
        """A reader's defects are told to `faults`."""
        self._one = (faults or defects.Defects()).holding(defects.Unit.SOCKET)
        self._usual = selectors.EpollSelector()
        self._epoll = select.epoll()
        self._door = self._usual.fileno()
        self._epoll.register(self._door, select.EPOLLIN)
        self._readers: dict[int, Reader] = {}
        self.is_due = False
        self.left: Callable[[], int] | None = None  # how much a loop that does a few has to do
        self._behind = 0  # of that, what it had when it was told of descriptors the last time

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
        self._behind = max(0, self._behind - A_TURN)
        self.is_due = False  # whatever the loop has to do until here is in `timeout`
        poll, door, readers = self._epoll.poll, self._door, self._readers
        while True:
            is_usual = False
            for descriptor, _ in poll(left, AT_ONCE):
                if descriptor == door:
                    is_usual = True  # the others first: it may be the first in every look
                elif reader := readers.get(descriptor):  # else it went by the work of another
                    try:
                        reader()
                    except Exception as exc:  # noqa: BLE001 - `with` is a hundredth of an answer
                        self._one.met(exc)
            if is_usual:
                return self._told()
            if self.is_due or (until is not None and (left := until - time.monotonic()) <= 0):
                return []

    def _told(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What asyncio waits for, when it has done what it was told of before.

        It would take what still waits to be read for something else to do, each time again.
        """
        if self._behind:
            return []
        found = self._usual.select(0)
        if self.left is not None:
            self._behind = self.left() + len(found)
        return found

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


class _Turn(deque[asyncio.Handle]):
    """What the loop has to do, of which it sees a few: it asks for the number, and does so many."""

    def __len__(self) -> int:
        return min(super().__len__(), A_TURN)

    def whole(self) -> int:
        return super().__len__()


class Loop(asyncio.SelectorEventLoop):
    """asyncio's own, but that what a hot reader gives it to do is done at once.

    asyncio does in one turn all that there is to do, be it a thousand time-outs, 50 ms in which
    nobody is answered. Here the hot readers have theirs after every few.
    """

    def __init__(self, hot: Selector) -> None:
        super().__init__(hot)
        self._hot = hot
        self._ready = _Turn()  # of BaseEventLoop; were it gone one day, only turns would be longer
        hot.left = self._ready.whole

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """As of any loop."""
        self._hot.is_due = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As of any loop."""
        self._hot.is_due = True
        return super().call_at(when, callback, *args, context=context)

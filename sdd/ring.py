"""The last so many things in order, and whoever waits for the next.

In: things, from any thread. Out: numbered things, from 1 on without a gap; a reader that is slower
than the ring is long is told how many it missed. Nothing is kept over a restart.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """One thing and its number."""

    number: int
    thing: T


@dataclass(frozen=True, slots=True)
class Missed:
    """Things that came and went unread; `number` is the last of them."""

    number: int
    count: int


class Ring(Generic[T]):
    """Keeps `capacity` things."""

    def __init__(self, capacity: int) -> None:
        self._kept: deque[Kept[T]] = deque(maxlen=capacity)
        self._last = 0
        self._lock = threading.Lock()
        self._moved = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._followers = 0

    @property
    def followers(self) -> int:
        """How many follow at this moment."""
        return self._followers

    def add(self, thing: T) -> None:
        """Keep `thing` and wake whoever follows."""
        with self._lock:
            self._last += 1
            self._kept.append(Kept(self._last, thing))
        if self._loop is not None and self._followers:
            # The thing may come from a thread; an asyncio event may not be set from one.
            self._loop.call_soon_threadsafe(self._wake)

    def after(self, number: int) -> tuple[Kept[T] | Missed, ...]:
        """What is behind `number`, in order; first how many of it are no longer kept."""
        with self._lock:
            found = tuple(each for each in self._kept if each.number > number)
            last = self._last
        missed = (found[0].number if found else last + 1) - number - 1
        if missed <= 0 or number == 0:
            return found
        return (Missed(number + missed, missed), *found)

    async def follow(
        self, number: int, patience_s: float
    ) -> AsyncGenerator[Kept[T] | Missed | None, None]:
        """What is behind `number`, for ever; None whenever nothing came for `patience_s`."""
        self._loop = asyncio.get_running_loop()
        self._followers += 1
        try:
            async with aclosing(self._follow(number, patience_s)) as things:
                async for each in things:
                    yield each
        finally:
            self._followers -= 1

    async def _follow(
        self, number: int, patience_s: float
    ) -> AsyncGenerator[Kept[T] | Missed | None, None]:
        while True:
            moved = self._moved  # taken before reading: what comes while we yield sets this one
            for each in self.after(number):
                number = each.number
                yield each
            try:
                async with asyncio.timeout(patience_s):
                    await moved.wait()
            except TimeoutError:
                yield None

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

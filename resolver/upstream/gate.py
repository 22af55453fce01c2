"""A bound on what is under way at once, with a short queue before it.

In: who wants to begin. Out: whether he may. A burst waits for 200 ms at most: a stub asks again
only after seconds, so a short wait costs less than a refusal; more would only add to the burst.
"""

import asyncio
from collections import deque
from typing import Final

WAIT_S: Final = 0.2
AT_ONCE: Final = 8  # that give up in one turn of the loop; then others have theirs


class Gate:
    """At most `most` are inside, at most `queue` wait, the first to come is the first to enter."""

    def __init__(self, most: int, queue: int) -> None:
        self._most = most
        self._most_waiting = queue
        self._queue: deque[asyncio.Future[bool]] = deque()
        self._ends: deque[tuple[float, asyncio.Future[bool]]] = deque()  # of who waits or did
        self._looks = False
        self.inside = 0

    @property
    def is_full(self) -> bool:
        """Whether not even waiting is possible."""
        return self.inside >= self._most and len(self._queue) >= self._most_waiting

    @property
    def is_unused(self) -> bool:
        """Whether nobody is inside or waits."""
        return not self.inside and not self._queue

    def try_enter(self) -> bool:
        """Whether the caller is inside now, without waiting; then he must leave."""
        if self.inside >= self._most or self._queue:
            return False
        self.inside += 1
        return True

    async def enter(self) -> bool:
        """Whether the caller is inside now; then he must leave."""
        if self.try_enter():
            return True
        if self.is_full:
            return False
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        self._queue.append(place)
        if not self._looks:
            self._looks = True
            loop.call_later(WAIT_S, self._look)
        self._ends.append((loop.time() + WAIT_S, place))
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self.leave()  # it was given a place in the very moment
            elif place in self._queue:
                self._queue.remove(place)
            raise

    def leave(self) -> None:
        """Let the next one in."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(True)  # he takes the leaver's place: as many are inside
                return
        self.inside -= 1

    def _look(self) -> None:
        """Whoever has waited long enough gives up; one timer for all of them."""
        loop = asyncio.get_running_loop()
        for _ in range(AT_ONCE):
            while self._ends and self._ends[0][1].done():
                self._ends.popleft()
            if not self._ends:
                self._looks = False
                return
            if self._ends[0][0] > loop.time():
                loop.call_at(self._ends[0][0], self._look)
                return
            _, place = self._ends.popleft()
            self._queue.remove(place)
            place.set_result(False)
        loop.call_soon(self._look)

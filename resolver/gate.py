"""A bound on what is under way at once, with a short queue before it.

In: who wants to begin. Out: whether he may. A burst waits for 200 ms at most: a stub asks again
only after seconds, so a short wait costs less than a refusal; more would only add to the burst.
"""

import asyncio
from typing import Final

WAIT_S: Final = 0.2


class Gate:
    """At most `most` are inside, at most `queue` wait."""

    def __init__(self, most: int, queue: int) -> None:
        self._slots = asyncio.Semaphore(most)
        self._queue = queue
        self._waiting = 0
        self.inside = 0

    @property
    def is_full(self) -> bool:
        """Whether not even waiting is possible."""
        return self._slots.locked() and self._waiting >= self._queue

    @property
    def is_unused(self) -> bool:
        """Whether nobody is inside or waits."""
        return not self.inside and not self._waiting

    async def enter(self) -> bool:
        """Whether the caller is inside now; then he must leave."""
        if self.is_full:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._slots.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        self.inside += 1
        return True

    def leave(self) -> None:
        """Let the next one in."""
        self.inside -= 1
        self._slots.release()

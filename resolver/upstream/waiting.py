"""Somebody who waits for a flight and has something else to go on with when that takes too long."""

import asyncio
from collections.abc import Callable

from resolver.upstream import forward


class Waiting:
    """Calls `over` after `limit_s` seconds, unless `cancel` comes first.

    The limit is looked at again and again: what servers show meanwhile changes it.
    """

    def __init__(self, limit_s: Callable[[], float], over: Callable[[], None]) -> None:
        self._limit_s = limit_s
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(min(limit_s(), forward.DOUBT_S), self._look)

    def cancel(self) -> None:
        """What was waited for is there."""
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self._began + self._limit_s() - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(min(left_s, forward.DOUBT_S), self._look)
        else:
            self._over()

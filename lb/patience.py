"""A time limit that counts against whoever is waited for, not against ourselves.

A process that gets no processor for a while finds its timers overdue together with the answers that
came in time. Taking that for silence would put members down just when the machine is busiest
(compare the local health of Lifeguard, arXiv:1707.00788).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

GRACE_S = 0.02  # a timer is never quite in time


@contextlib.asynccontextmanager
async def limit(timeout_s: float) -> AsyncIterator[None]:
    """Raises TimeoutError when the body takes longer than `timeout_s`.

    What this process's own loop was late is added to it, up to as much again.
    """
    async with asyncio.timeout(None) as scope:
        watch = _Watch(scope, timeout_s)
        try:
            yield
        finally:
            watch.stop()


class _Watch:
    def __init__(self, scope: asyncio.Timeout, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = scope
        self._left_s = timeout_s  # of what may be added
        self._due = self._loop.time() + timeout_s
        self._timer = self._loop.call_at(self._due, self._over)

    def stop(self) -> None:
        self._timer.cancel()

    def _over(self) -> None:
        now = self._loop.time()
        more_s = min(now - self._due, self._left_s)
        if more_s < GRACE_S:
            self._scope.reschedule(now)
            return
        self._left_s -= more_s
        self._due = now + more_s
        self._timer = self._loop.call_at(self._due, self._over)

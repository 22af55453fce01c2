"""A bound on how many questions a second a sandbox may send on their way (token bucket).

In: the clock, and who wants to send one. Out: whether it may. What waits for nobody is bounded
here, what is under way at once by `gate`: a container that asks without end leaves its neighbours
the processor (CVE-2026-42534 was a resolver where it did not).
"""

from typing import Final

BURST_S: Final = 2.0  # what may come at once after a pause is that of so many seconds


class Bucket:
    """Full at first. `rate` in questions a second; with 0 there is no bound."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._at = 0.0
        self._left = float("inf")

    def take(self, rate: int, now: float) -> bool:
        """Whether one more may go; `now` in seconds, monotonic."""
        if not rate:
            return True
        self._left = min(rate * BURST_S, self._left + (now - self._at) * rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

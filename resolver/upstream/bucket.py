"""A bound on how many questions a second a sandbox may send on their way (token bucket).

In: the clock, and who wants to send one. Out: whether it may. What waits for nobody is bounded
here, what is under way at once by `gate`: a container that asks without end leaves its neighbours
the processor (CVE-2026-42534 was a resolver where it did not).
"""

from typing import Final

EACH: Final = 16  # records of a reply that take about the time of a question
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

    def charge(self, count: int) -> None:
        """As if `count` more had gone, however few there is room for."""
        self._left -= count


class Buckets:
    """One for each sandbox that asks."""

    def __init__(self) -> None:
        self._all: dict[str, Bucket] = {}

    def take(self, sandbox: str, rate: int, now: float) -> bool:
        """As `Bucket.take`, of this sandbox's."""
        found = self._all.get(sandbox)
        if found is None:
            found = self._all[sandbox] = Bucket()
        return found.take(rate, now)

    def charge(self, sandbox: str, records: int) -> None:
        """A reply of so many records came for it: one of many costs as much time as many others.

        Who asks a server that he has made for it could else take all the processor, within his
        rate.
        """
        if records > EACH and (found := self._all.get(sandbox)) is not None:
            found.charge(records // EACH)

    def drop(self, sandbox: str) -> None:
        """It is gone, or begins anew."""
        self._all.pop(sandbox, None)

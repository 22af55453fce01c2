"""A bound on how many questions a second a sandbox may send on their way (token bucket).

In: the clock, and who wants to send one. Out: whether it may. What waits for nobody is bounded
here, what is under way at once by `gate`: a container that asks without end leaves its neighbours
the processor (CVE-2026-42534 was a resolver where it did not).
"""

from typing import Final

READ_S: Final = 0.0001  # of the processor, for a reply: what a question takes on its way
DEBT_S: Final = 1.0  # nobody who is charged for replies waits for longer
BURST_S: Final = 2.0  # what may come at once after a pause is that of so many seconds


class Bucket:
    """Full at first. `rate` in questions a second; with 0 there is no bound."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self) -> None:
        self._at = 0.0
        self._left = float("inf")
        self._rate = 0

    def take(self, rate: int, now: float) -> bool:
        """Whether one more may go; `now` in seconds, monotonic."""
        if not rate:
            return True
        self._left = min(rate * BURST_S, self._left + (now - self._at) * rate)
        self._at, self._rate = now, rate
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def charge(self, count: int) -> None:
        """As if `count` more had gone, be there room for them or not."""
        self._left = max(self._left - count, -self._rate * DEBT_S)


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

    def charge(self, sandbox: str, spent_s: float) -> None:
        """To read a reply for it took so much of the processor: as much as so many questions.

        Who asks a server that he has made for it could else take all of it, within his rate.
        """
        if spent_s > READ_S and (found := self._all.get(sandbox)) is not None:
            found.charge(int(spent_s / READ_S))

    def drop(self, sandbox: str) -> None:
        """It is gone, or begins anew."""
        self._all.pop(sandbox, None)

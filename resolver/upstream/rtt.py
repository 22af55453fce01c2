"""How long an upstream usually takes: the median of what it took lately.

In: when it was asked, and when it answered, on a monotonic clock. Out: seconds. What comes at one
moment is one measurement: a server that hung answers all that waited at once. A mean remembered one
such answer for dozens that were quick. Of questions that overlap the slow ones count like the quick
ones, whichever was asked first.
"""

import math
from typing import Final, NamedTuple, Self

KEPT: Final = 7  # three late ones of them do not count
MOMENT_S: Final = 0.05


class Rtt(NamedTuple):
    """The last measurements, the oldest first, and when the last of them was taken."""

    taken: tuple[float, ...] = ()
    taken_at: float = -math.inf

    def after(self, asked_at: float, now: float, limit_s: float) -> Self:
        """With an answer that came now to what was asked then, unless one came at this moment.

        `limit_s`: a machine that slept meanwhile took no hours to ask.
        """
        if now - self.taken_at < MOMENT_S:
            return self
        return type(self)((*self.taken[1 - KEPT :], min(now - asked_at, limit_s)), now)

    @property
    def seconds(self) -> float:
        """The median, of two in the middle the less; 0: never measured."""
        taken = sorted(self.taken)
        return taken[(len(taken) - 1) // 2] if taken else 0.0


UNMEASURED: Final = Rtt()

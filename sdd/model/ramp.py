"""Slow start: a member that turned up gets a growing share of its weight. Pure; time is passed in.

The weight grows in steps, so that a kernel is told of it ten times and the store never. All that a
step depends on is in the state, so a daemon that starts anew finds the same step. HAProxy has the
same as `slowstart`.
"""

import math
from collections.abc import Sequence

STEPS = 10
HIGHEST = 65535  # a weight in the kernel; the weights of a service are told in tenths below that


def step(slow_start_s: float, up_since: float, now: float) -> int:
    """How many tenths of its weight a member gets, 1 to STEPS.

    Times are in seconds since the epoch. What lies further ahead than the slow start is long comes
    from a clock that was set back: it holds nobody up.
    """
    passed = now - up_since
    if passed >= slow_start_s or passed < -slow_start_s:
        return STEPS
    return max(1, int(passed * STEPS / slow_start_s))


def next_s(slow_start_s: float, up_since: float, now: float) -> float:
    """Seconds until the step is another one; infinite for a member that has arrived."""
    at = step(slow_start_s, up_since, now)
    if at == STEPS:
        return math.inf
    # A little late rather than early: rounded down, the step would still be the old one.
    return up_since + slow_start_s * (at + 1) / STEPS - now + 0.001


def weights(shares: Sequence[tuple[int, int]]) -> list[int]:
    """(weight, step) of each member of a service with slow start → the weights for the kernel.

    In tenths, whether anybody grows or not: then nobody else changes when somebody does.
    """
    heaviest = max((weight for weight, _ in shares), default=0)
    unit = STEPS if heaviest * STEPS <= HIGHEST else 1
    return [max(1, weight * unit * at // STEPS) if weight else 0 for weight, at in shares]

"""Backends with weights → one round of turns, for a balancer that counts instead of hashing.

Turns of a heavy backend are spread evenly over the round, so a burst of connections does not land
on one backend: each turn has its own part of the round to come in.
"""

import heapq
import math
from collections.abc import Iterator, Sequence

from lb import table

MOST_TURNS = 250  # weights are scaled down to this: one round is one rule, and it must stay small
_EACH = 4  # turns, so that the weights of many are still told apart


def turns(backends: Sequence[table.Backend], *, weighted: bool) -> tuple[table.Backend, ...]:
    """One round; each backend of weight > 0 has at least one turn."""
    ready = [each for each in backends if each.weight]
    if not weighted:
        return tuple(ready)
    shares = _shares([each.weight for each in ready])
    return tuple(ready[each] for each in _spread(shares))


def _spread(shares: Sequence[int]) -> Iterator[int]:
    """Who comes next: of those whose turn has begun, the one whose turn ends first."""
    total = sum(shares)
    begins: list[list[tuple[int, int]]] = [[] for _ in range(total)]
    for each, share in enumerate(shares):
        for turn in range(share):
            ends = -((turn + 1) * total // -share)  # rounded up
            begins[-(turn * total // -share)].append((ends, each))
    begun: list[tuple[int, int]] = []
    for new in begins:
        for one in new:
            heapq.heappush(begun, one)
        yield heapq.heappop(begun)[1]


def _shares(weights: Sequence[int]) -> list[int]:
    if not weights:
        return []
    divisor = math.gcd(*weights)
    reduced = [weight // divisor for weight in weights]
    total, most = sum(reduced), max(MOST_TURNS, _EACH * len(weights))
    if total <= most:
        return reduced
    return [max(1, round(weight * most / total)) for weight in reduced]

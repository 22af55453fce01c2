"""Backends with weights → one round of turns, for a balancer that counts instead of hashing.

Turns of a heavy backend are spread over the round (smooth weighted round robin: the largest credit
goes next), so a burst of connections does not land on one backend.
"""

import math
from collections.abc import Sequence

from lb import table

MOST_TURNS = 100  # weights are scaled down to this: one round is one rule, and it must stay small


def turns(backends: Sequence[table.Backend], *, weighted: bool) -> tuple[table.Backend, ...]:
    """One round; each backend of weight > 0 has at least one turn."""
    ready = [each for each in backends if each.weight]
    if not weighted:
        return tuple(ready)
    shares = _shares([each.weight for each in ready])
    total = sum(shares)
    credit = [0] * len(ready)
    order: list[table.Backend] = []
    for _ in range(total):
        credit = [have + share for have, share in zip(credit, shares, strict=True)]
        index = max(range(len(ready)), key=lambda at: credit[at])
        credit[index] -= total
        order.append(ready[index])
    return tuple(order)


def _shares(weights: Sequence[int]) -> list[int]:
    if not weights:
        return []
    divisor = math.gcd(*weights)
    reduced = [weight // divisor for weight in weights]
    total = sum(reduced)
    if total <= MOST_TURNS:
        return reduced
    return [max(1, round(weight * MOST_TURNS / total)) for weight in reduced]

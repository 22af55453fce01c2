"""Backends with weights → a table of slots, so that a hash of the flow chooses a backend.

Maglev hashing (Eisenbud et al., NSDI 2016, §3.4): every backend fills slots in its own order, so
the table is even, and taking one backend away moves few flows of the others. The table depends on
the set of backends only, never on the order in which they came: all nodes choose alike.
"""

import hashlib
from collections.abc import Sequence

from lb import table

SLOTS = (
    251  # a prime; 1 % of the flows per 2.5 slots, small enough to be rewritten in a millisecond
)


def slots(backends: Sequence[table.Backend], size: int = SLOTS) -> tuple[table.Backend, ...]:
    """`size` backends, each as often as its weight says (±1 turn); empty when none takes flows.

    `size` must be a prime, or a backend could not reach every slot.
    """
    ready = [each for each in backends if each.weight]
    if not ready:
        return ()
    orders = [_Order(each, size) for each in ready]
    heaviest = max(each.weight for each in ready)
    filled: list[table.Backend | None] = [None] * size
    credit = [0.0] * len(ready)
    left = size
    while left:
        for index, (order, backend) in enumerate(zip(orders, ready, strict=True)):
            credit[index] += backend.weight / heaviest
            if credit[index] < 1 or not left:
                continue
            credit[index] -= 1
            filled[order.next_free(filled)] = backend
            left -= 1
    return tuple(each for each in filled if each is not None)


class _Order:
    """One backend's permutation of the slots: `offset + n * skip`."""

    def __init__(self, backend: table.Backend, size: int) -> None:
        digest = hashlib.blake2s(backend.packed, person=b"sdd-lb").digest()
        self._at = int.from_bytes(digest[:8], "big") % size
        self._skip = int.from_bytes(digest[8:16], "big") % (size - 1) + 1
        self._size = size

    def next_free(self, filled: Sequence[object]) -> int:
        while filled[self._at] is not None:
            self._at = (self._at + self._skip) % self._size
        return self._at

"""Backends with weights → a table of slots, so that a hash of the flow chooses a backend.

Maglev hashing (Eisenbud et al., NSDI 2016, §3.4): every backend fills slots in its own order, so
the table is even, and taking one backend away moves few flows of the others. The table depends on
the set of backends only, never on the order in which they came: all nodes choose alike.

Its size grows with the backends and with how far their weights lie apart, and that must not move
everybody's flows whenever a backend more comes or a weight changes. So a larger table is the next
smaller one with each slot cut into parts: a hash that is scaled to the size, as the kernel does it,
falls into a part of the slot it fell into before. The parts stay with whoever had the slot; only
what somebody has too many of is filled anew, by those who have too few. What was filled anew is all
that a kernel needs to be told beside the smaller table: a few slots a backend, whatever the size.
"""

import functools
import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lb import table

SLOTS = 251  # of a small table: a prime, rewritten in a millisecond
_PARTS = 4  # of a slot in the next larger table
_EACH = 25  # slots for each backend: as many as differ by one are even within 4 %
_LIGHTEST = 4  # slots for the lightest, or its share is no more than a guess
_LARGE = (
    SLOTS * _PARTS**3
)  # 16064: a mebibyte of the kernel's in each client; larger only if it must
_LEAST = 4  # slots for each backend in any case


def size(weights: Sequence[int]) -> int:
    """How many slots backends of these weights, all above 0, are given."""
    wanted = max(_EACH * len(weights), _LIGHTEST * sum(weights) // min(weights))
    wanted = max(min(wanted, _LARGE), _LEAST * len(weights))
    found = SLOTS
    while found < wanted:
        found *= _PARTS
    return found


def layers(weights: Sequence[int]) -> int:
    """How many tables there are above the smallest one."""
    found, count = SLOTS, 0
    wanted = size(weights)
    while found < wanted:
        found, count = found * _PARTS, count + 1
    return count


def slots(backends: Sequence[table.Backend]) -> tuple[table.Backend, ...]:
    """Each backend as often as its weight says, to one slot, and at least once.

    Empty when none takes flows.
    """
    ready = [each for each in backends if each.weight]
    return tuple(map(ready.__getitem__, filled(ready).places)) if ready else ()


@dataclass(frozen=True, slots=True)
class Filled:
    """Who has which slot, as indexes of backends.

    `places` is all of it; `base` the smallest table, and `layers` say what of each larger one is
    otherwise than in the one before it: its size, and slot → backend.
    """

    places: Sequence[int]
    base: Sequence[int]
    layers: tuple[tuple[int, Mapping[int, int]], ...]


def filled(ready: Sequence[table.Backend]) -> Filled:
    """The table of backends whose weights are above 0; at least one."""
    addresses = b"".join([each.packed for each in ready])
    return _filled(addresses, tuple([each.weight for each in ready]))


@functools.lru_cache(maxsize=256)  # all sandboxes of a network have the same services
def _filled(addresses: bytes, weights: tuple[int, ...]) -> Filled:
    width = len(addresses) // len(weights)
    keys = [addresses[at : at + width] for at in range(0, len(addresses), width)]
    owners = [_NOBODY] * SLOTS
    _fill(owners, range(SLOTS), _due(weights, SLOTS), keys, weights)
    base, layers = array("I", owners), []
    wanted = size(weights)
    while len(owners) < wanted:
        due = _due(weights, len(owners) * _PARTS)
        owners, free = _inherited(owners, due)
        _fill(owners, free, due, keys, weights)
        layers.append((len(owners), {at: owners[at] for at in free}))
    return Filled(places=array("I", owners), base=base, layers=tuple(layers))


_NOBODY = -1


def _inherited(owners: Sequence[int], due: list[int]) -> tuple[list[int], list[int]]:
    """A larger table, and its free slots, in order.

    Whoever had a slot has its parts, the first ones as far as they are due; what is left is told.
    """
    larger = [_NOBODY] * (_PARTS * len(owners))
    for part in range(_PARTS):
        larger[part::_PARTS] = owners
    beyond: dict[int, int] = {}  # parts that somebody has and are not due
    for owner, count in Counter(owners).items():
        due[owner] -= _PARTS * count
        if due[owner] < 0:
            beyond[owner], due[owner] = -due[owner], 0
    free: list[int] = []
    for at in [at for at in range(len(owners) - 1, -1, -1) if owners[at] in beyond]:
        lost = min(_PARTS, beyond[owners[at]])
        beyond[owners[at]] -= lost
        free += range(_PARTS * (at + 1) - 1, _PARTS * (at + 1) - 1 - lost, -1)
    for at in free:
        larger[at] = _NOBODY
    return larger, free[::-1]


def _fill(
    owners: list[int],
    free: Sequence[int],
    due: Sequence[int],
    keys: Sequence[bytes],
    weights: Sequence[int],
) -> None:
    """Whoever is due slots takes the next free one in its own order, in turns."""
    fill = _fill_few if len(free) ** 2 < len(owners) else _fill_many
    fill(owners, free, due, keys, weights)


def _fill_many(
    owners: list[int],
    _free: Sequence[int],
    due: Sequence[int],
    keys: Sequence[bytes],
    weights: Sequence[int],
) -> None:
    """By trying one slot of an order after the other."""
    size = len(owners)
    orders = [_order(key, size) if left else (0, 0) for key, left in zip(keys, due, strict=True)]
    at = [first for first, _ in orders]
    for each in _turns(due, weights):
        place, skip = at[each], orders[each][1]
        while owners[place] != _NOBODY:
            place = (place + skip) % size
        owners[place] = each
        at[each] = place


def _fill_few(
    owners: list[int],
    free: Sequence[int],
    due: Sequence[int],
    keys: Sequence[bytes],
    weights: Sequence[int],
) -> None:
    """The same by asking when each free slot comes in an order: it would mostly meet taken ones."""
    size, left = len(owners), set(free)
    ranks: dict[int, dict[int, int]] = {}  # of each who is due slots: slot → when it comes
    for each in _turns(due, weights):
        if each not in ranks:
            first, skip = _order(keys[each], size)
            back = pow(skip, -1, size)
            ranks[each] = {at: (at - first) * back % size for at in free}
        place = min(left, key=ranks[each].__getitem__)
        owners[place] = each
        left.remove(place)


def _turns(due: Sequence[int], weights: Sequence[int]) -> Iterator[int]:
    """Who takes a slot, one after the other: the heavier, the more often."""
    when = [
        (turn / weight, each)
        for each, (left, weight) in enumerate(zip(due, weights, strict=True))
        for turn in range(1, left + 1)
    ]
    when.sort()
    return (each for _, each in when)


def _order(key: bytes, size: int) -> tuple[int, int]:
    """One backend's permutation of the slots: the first, and how far it is to the next."""
    first, second = _numbers(key)
    skip = second % (size - 1) + 1
    while math.gcd(skip, size) != 1:  # or it would not reach every slot
        skip += 1
    return first % size, skip


@functools.lru_cache(maxsize=1 << 14)
def _numbers(key: bytes) -> tuple[int, int]:
    digest = hashlib.blake2s(key, person=b"sdd-lb").digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")


def _due(weights: Sequence[int], size: int) -> list[int]:
    """How many of the slots each has: one at least, else by weight; the largest remainders first.

    In a table with fewer slots than backends the heaviest have one each.
    """
    heaviest = sorted(range(len(weights)), key=lambda each: -weights[each])[:size]
    due = [0] * len(weights)
    for each in heaviest:
        due[each] = 1
    sharing, room = heaviest, size
    while True:
        total = sum(weights[each] for each in sharing)
        more = [each for each in sharing if weights[each] * room >= total]
        if len(more) == len(sharing):
            break
        room -= len(sharing) - len(more)
        sharing = more
    for each in sharing:
        due[each] = weights[each] * room // total
    left = size - sum(due)
    by_remainder = sorted(sharing, key=lambda each: -(weights[each] * room % total))
    for each in by_remainder[:left]:
        due[each] += 1
    return due

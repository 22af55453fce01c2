"""Who comes first to which slot: each backend has an order of its own, by its address. Pure.

Backends are told by their place in a sequence; ties go to the earlier one.
"""

import functools
import hashlib
import math
from collections.abc import Collection, Mapping, Sequence

SLOTS = 251  # of the smallest table: a prime, rewritten in a millisecond
_MOMENTS = 16  # within a turn: at one of them each backend comes


def firsts(keys: Sequence[bytes], weights: Sequence[int]) -> tuple[list[int], list[float]]:
    """Who comes first to each of `SLOTS`, and when.

    A backend goes through the slots in such a rhythm that it is exponentially distributed when it
    comes to one, twice as soon with twice the weight: so its chance to be the first is its share.
    """
    until = (math.log(SLOTS) + 2) / sum(weights)  # by then mostly somebody came to each
    while True:
        owners, came = [_NOBODY] * SLOTS, [math.inf] * SLOTS
        for each, (key, weight) in enumerate(zip(keys, weights, strict=True)):
            places, times = _walk(key)
            last = until * weight
            for place, time in zip(places, times, strict=True):
                if time > last:
                    break
                if time / weight < came[place]:
                    owners[place], came[place] = each, time / weight
        if _NOBODY not in owners:
            return owners, came
        until *= 2


_NOBODY = -1
_Met = tuple[int, list[tuple[int, int]]]  # the turn behind these, and who met which slot, in order


@functools.lru_cache(maxsize=1 << 12)
def _walk(key: bytes) -> tuple[bytes, Sequence[float]]:
    """In which order it goes through all slots, and when it comes to each with a weight of 1."""
    first, second = _numbers(key)
    skip = second % (SLOTS - 1) + 1
    places = _multiples(skip).translate(_shifted(first % SLOTS))
    return places, _times((second >> 32) % _MOMENTS)


@functools.lru_cache(maxsize=SLOTS)
def _multiples(skip: int) -> bytes:
    return bytes(turn * skip % SLOTS for turn in range(SLOTS))


@functools.lru_cache(maxsize=SLOTS)
def _shifted(first: int) -> bytes:
    """A table for `bytes.translate`."""
    return bytes((at + first) % SLOTS for at in range(256))


@functools.lru_cache(maxsize=_MOMENTS)
def _times(moment: int) -> Sequence[float]:
    """When it comes to a slot in each turn: by then to as many as an exponential time says."""
    gone = [(turn + (moment + 0.5) / _MOMENTS) / SLOTS for turn in range(SLOTS)]
    return tuple([-math.log(1 - part) for part in gone])


def taken(
    free: set[int], due: Mapping[int, int], keys: Sequence[bytes], size: int
) -> list[tuple[int, int]]:
    """Which of the `free` slots of `size` each takes that is due some: (slot, backend), in order.

    As many are free as are due. All go through all slots, a slot in a turn, and who comes to a
    free one takes it until he has what he is due.
    """
    free, due = set(free), dict(sorted(due.items()))
    orders = {each: _order(keys[each], size) for each in due}
    found, turn = [], 0
    while free:
        # Looking whom each meets in one turn takes less than looking when all meet all.
        are_many = len(free) * len(due) > size
        turn, met = (_this_turn if are_many else _next_turns)(free, orders, size, turn)
        for at, each in met:
            if at in free and each in due:
                found.append((at, each))
                free.remove(at)
                due[each] -= 1
                if not due[each]:
                    del due[each], orders[each]
    return found


def _this_turn(
    free: Collection[int], orders: Mapping[int, tuple[int, int]], size: int, turn: int
) -> _Met:
    walks = orders.items()
    met = [
        (at, each) for each, (first, skip) in walks if (at := (first + turn * skip) % size) in free
    ]
    return turn + 1, met


def _next_turns(
    free: Collection[int], orders: Mapping[int, tuple[int, int]], size: int, turn: int
) -> _Met:
    """In so many turns that about half of the slots are taken: more would be looked at in vain."""
    end = turn + size // len(orders) + 1
    met: list[tuple[int, int, int]] = []
    for each, (first, skip) in orders.items():
        back = pow(skip, -1, size)
        met += [(when, each, at) for at in free if (when := (at - first) * back % size) < end]
    met.sort()
    return end, [(at, each) for _, each, at in met]


@functools.lru_cache(maxsize=1 << 14)
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

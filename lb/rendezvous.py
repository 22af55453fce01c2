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
_Order = tuple[int, int, int]  # the first slot, how far it is to the next, and what undoes that
_Met = list[tuple[int, int]]
_ABREAST = 16  # tables in a row, or they would not fit into a processor's caches
_FEW = 4


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
        abreast = min(_ABREAST, size // (2 * len(free)))
        if len(free) * len(due) * _FEW <= size:
            end = turn + 2 * size // len(due) + 1
            met = _meeting(free, orders, size, end)
        elif abreast < _FEW:
            end = turn + 1
            met = _in_turn(free, orders, size, turn)
        else:
            end = turn + abreast
            met = _seen(free, orders, size, range(turn, end))
        turn = end
        for at, each in met:
            if at in free and each in due:
                found.append((at, each))
                free.remove(at)
                due[each] -= 1
                if not due[each]:
                    del due[each], orders[each]
    return found


# Who meets which free slot within some turns, in order: three ways, each the fastest for as many.


def _in_turn(free: Collection[int], orders: Mapping[int, _Order], size: int, turn: int) -> _Met:
    """Where most slots are free: by going to the one of this turn."""
    walks = orders.items()
    return [
        (at, each)
        for each, (first, skip, _) in walks
        if (at := (first + turn * skip) % size) in free
    ]


def _seen(free: Collection[int], orders: Mapping[int, _Order], size: int, turns: range) -> _Met:
    """Where few are: by a look at those of several turns, in a row of tables."""
    one = bytearray(size)
    for at in free:
        one[at] = 1
    row = bytes(one) * len(turns)
    met: list[tuple[int, int, int]] = []
    for each, (first, skip, _) in orders.items():
        begin = (first + turns.start * skip) % size
        passed = row[begin : begin + len(turns) * skip : skip]
        when = passed.find(1)
        while when >= 0:
            met.append((when, each, (begin + when * skip) % size))
            when = passed.find(1, when + 1)
    met.sort()
    return [(at, each) for _, each, at in met]


def _meeting(free: Collection[int], orders: Mapping[int, _Order], size: int, end: int) -> _Met:
    """Where there are few of both: by asking when each comes to each, before the turn `end`.

    Later ones are mostly in vain: one of both is gone by then.
    """
    met: list[tuple[int, int, int]] = []
    for each, (first, _, back) in orders.items():
        met += [(when, each, at) for at in free if (when := (at - first) * back % size) < end]
    met.sort()
    return [(at, each) for _, each, at in met]


@functools.lru_cache(maxsize=1 << 14)
def _order(key: bytes, size: int) -> _Order:
    """One backend's permutation of the slots."""
    first, second = _numbers(key)
    skip = second % (size - 1) + 1
    while math.gcd(skip, size) != 1:  # or it would not reach every slot
        skip += 1
    return first % size, skip, pow(skip, -1, size)


@functools.lru_cache(maxsize=1 << 14)
def _numbers(key: bytes) -> tuple[int, int]:
    digest = hashlib.blake2s(key, person=b"sdd-lb").digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")

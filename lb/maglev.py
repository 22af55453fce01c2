"""Backends with weights → a table of slots, so that a hash of the flow chooses a backend.

As in Maglev hashing (Eisenbud et al., NSDI 2016, §3.4) every backend has its own order of the
slots. But nobody passes on to the next slot where another one was first: a slot goes to whoever
comes to it first, the heavier the sooner. That is rendezvous (highest random weight) hashing, by
which those who stay take no slot from each other when one comes, goes or weighs otherwise. It is
only nearly even, so whoever has more slots than his share gives those away to which he came last,
and whoever has fewer takes from these, first come, first served again: both sides have what they
prefer, as in a stable matching (Gale and Shapley), and a change moves little more than its share.
The table depends on the set of backends only, never on the order in which they came: all nodes
choose alike.

Its size grows with the backends and with how far their weights lie apart, and that must not move
everybody's flows whenever a backend more comes or a weight changes. So a larger table is the next
smaller one with each slot cut into parts: a hash that is scaled to the size, as the kernel does it,
falls into a part of the slot it fell into before. The parts stay with whoever had the slot; only
what somebody has too many of is given away. That is all that a kernel needs to be told beside the
smaller table: a few slots a backend, whatever the size. The smallest table of several is left
uneven, for to make a few slots even moves more than to make many so.
"""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lb import rendezvous, table
from lb.rendezvous import SLOTS

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
    ready = {each.packed: each for each in backends if each.weight}
    return tuple(map(ready.__getitem__, filled(tuple(ready.values())).all())) if ready else ()


@dataclass(frozen=True, slots=True)
class Filled:
    """Who has which slot, by the addresses of backends in network order.

    `base` is the smallest table, and `layers` say what of each larger one is otherwise than in the
    one before it: its size, and slot → backend.
    """

    base: Sequence[bytes]
    layers: tuple[tuple[int, Mapping[int, bytes]], ...] = ()

    def all(self) -> Sequence[bytes]:
        """The whole of the largest table."""
        owners = list(self.base)
        for larger, layer in self.layers:
            parts = larger // len(owners)
            owners = [owner for owner in owners for _ in range(parts)]
            for at, owner in layer.items():
                owners[at] = owner
        return owners


def filled(ready: Sequence[table.Backend]) -> Filled:
    """The table of backends whose weights are above 0; at least one."""
    return _filled(_keys(ready), tuple([each.weight for each in ready]))


def small(ready: Sequence[table.Backend]) -> Sequence[bytes]:
    """As the base of `filled`, but even by itself, where no larger table will follow.

    Where there are more backends than slots, the heaviest have one each.
    """
    heaviest = {each.packed for each in sorted(ready, key=lambda each: -each.weight)[:SLOTS]}
    few = [each for each in ready if each.packed in heaviest]
    return _filled(_keys(few), tuple([each.weight for each in few]), SLOTS).base


def _keys(ready: Sequence[table.Backend]) -> bytes:
    return b"".join([each.packed for each in ready])


@functools.lru_cache(maxsize=256)  # all sandboxes of a network have the same services
def _filled(addresses: bytes, weights: tuple[int, ...], most: int = 0) -> Filled:
    """With so many slots at most, if that is told."""
    width = len(addresses) // len(weights)
    keys = [addresses[at : at + width] for at in range(0, len(addresses), width)]
    most = most or size(weights)
    owners, came = rendezvous.firsts(keys, weights)
    holdings = _Holdings(keys, weights, owners, came)
    if most == SLOTS:
        for at, owner in holdings.evened(SLOTS, is_last=True):
            owners[at] = owner
        return Filled([keys[owner] for owner in owners])
    found, larger = [], SLOTS
    while larger < most:
        larger *= _PARTS
        taken = holdings.evened(larger, is_last=larger == most)
        found.append((larger, {at: keys[owner] for at, owner in taken}))
    return Filled([keys[owner] for owner in owners], tuple(found))


class _Holdings:
    """Which slots each backend has, those first to which it came first.

    A slot is (the size of the table in which it was had, its number there), and stays one however
    many parts it is cut into, so that all this is as long as what the kernel is told.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        weights: Sequence[int],
        owners: Sequence[int],
        came: Sequence[float],
    ) -> None:
        self._keys, self._weights = keys, weights
        self._held: dict[int, list[tuple[int, int]]] = {}
        for at in sorted(range(len(owners)), key=came.__getitem__):
            self._held.setdefault(owners[at], []).append((len(owners), at))
        self._counts = [len(self._held.get(each, ())) for each in range(len(weights))]
        self._size = len(owners)

    def evened(self, size: int, *, is_last: bool) -> list[tuple[int, int]]:
        """What becomes otherwise in a table of `size` slots: (slot, backend)."""
        parts, self._size = size // self._size, size
        if parts > 1:
            self._counts = [parts * count for count in self._counts]
        beyond, short = _beyond(self._counts, self._weights, size, is_last=is_last)
        free = [at for each, count in beyond.items() for at in self._given(each, count)]
        taken = rendezvous.taken(set(free), short, self._keys, size)
        for each, count in beyond.items():
            self._counts[each] -= count
        for at, each in taken:
            self._counts[each] += 1
            self._held.setdefault(each, []).append((size, at))
        return taken

    def _given(self, each: int, count: int) -> list[int]:
        """So many parts of those that `each` came to last, which are its no more."""
        held = self._held[each]
        given: list[int] = []
        while count:
            size, at = held.pop()
            parts = self._size // size
            first, lost = parts * at, min(parts, count)
            given += range(first + parts - lost, first + parts)
            held += [(self._size, one) for one in range(first, first + parts - lost)]
            count -= lost
        return given


def _beyond(
    counts: Sequence[int], weights: Sequence[int], size: int, *, is_last: bool
) -> tuple[dict[int, int], dict[int, int]]:
    """How many of `size` slots who has too many and too few: as many in all.

    Each may have the whole number below its share or the one above, whichever is nearer to what it
    has; where these do not add up, the largest remainders have the one above. In the last table
    each has one slot at least.
    """
    room, total = _shared(weights, size) if is_last else (size, sum(weights))
    bounds = {
        weight: (max(weight * room // total, is_last), -(-weight * room // total))
        for weight in set(weights)
    }
    due = [bounds[weight] for weight in weights]
    beyond, short = {}, {}
    for each, (count, (least, most)) in enumerate(zip(counts, due, strict=True)):
        if count > most:
            beyond[each] = count - most
        elif count < least:
            short[each] = least - count
    spare = sum(beyond.values()) - sum(short.values())
    if not spare:
        return beyond, short
    between = [
        each
        for each, (count, (least, most)) in enumerate(zip(counts, due, strict=True))
        if least < most and (count <= least if spare > 0 else count >= most)
    ]
    between.sort(key=lambda each: -(weights[each] * room % total))
    more = short if spare > 0 else beyond
    for each in between[:spare] if spare > 0 else between[spare:]:
        more[each] = more.get(each, 0) + 1
    return beyond, short


def _shared(weights: Sequence[int], size: int) -> tuple[int, int]:
    """The slots that are shared by weight, and the weight of those who share them.

    All others, the lightest, are due less than one, and have one each.
    """
    room, total = size, sum(weights)
    for weight, count in sorted(Counter(weights).items()):
        if weight * room >= total:
            break
        room, total = room - count, total - weight * count
    return room, total

"""The records that people added, over the names that objects have: a change costs what it touches.

In: what was so before, the names that were touched, the records. Out: the same as if all were made
anew. What is at a name depends on who has it, on the records of that name, on addresses that lead
back to it and on names below it; each of these is found by the name. Records whose names are
special (`is_special`) depend on more and are put on top, all of them (`added.put`).
"""

import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, NamedTuple

from resolver import protocol
from resolver.message import wire
from resolver.names import added, between
from sdd import contained
from sdd.model.progress import Failure
from sdd.model.record import ADDRESSES, ADDRESSING, Record

_SERVICE: Final = "_"
_REVERSE: Final = ".arpa"
By = Mapping[bytes, tuple[Record, ...]]


class Ground(NamedTuple):
    """The network's name, the TTL, and its name as a zone if all below it is ours."""

    suffix: str
    ttl: int
    zone: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """`names` with the ordinary records; `owners` and `pointers` are the records at each name.

    `above` says how many names are below one. `spoiled` are the failures of records that cannot be
    rendered.
    """

    names: protocol.Names = field(default_factory=dict)
    owners: By = field(default_factory=dict)
    pointers: By = field(default_factory=dict)
    above: Mapping[bytes, int] = field(default_factory=dict)
    spoiled: Mapping[str, Failure] = field(default_factory=dict)


class News(NamedTuple):
    """Names of which objects say something else, and ordinary records that went and came."""

    touched: Collection[bytes]
    gone: Collection[Record]
    new: Collection[Record]


def is_special(of: Record) -> bool:
    """Whether what the record means depends on names that are not its own."""
    return of.is_wildcard or of.name.startswith(_SERVICE) or of.name.endswith(_REVERSE)


def amended(
    before: Layer, plain: protocol.Names, news: News, ground: Ground
) -> tuple[Layer, Collection[bytes]]:
    """The layer after the `news`, and the names that may differ in it; `plain` is what is below."""
    if not any(news):
        return before, ()
    made = _Amending(before, plain, ground)
    for each in news.gone:
        made.remove(each)
    for each in news.new:
        made.add(each)
    return made.done(news.touched)


class _Amending:
    """Copies of what was, on their way to what is; made by C, they cost little."""

    def __init__(self, before: Layer, plain: protocol.Names, ground: Ground) -> None:
        self._plain = plain
        self._ground = ground
        self._names = dict(before.names)
        self._owners = dict(before.owners)
        self._pointers = dict(before.pointers)
        self._above = dict(before.above)
        self._spoiled = dict(before.spoiled)
        self._suspects: set[bytes] = set()

    def remove(self, of: Record) -> None:
        if self._spoiled.pop(of.id, None):
            return
        for owner in added.owners(of, self._ground.suffix):
            if _take(self._owners, owner, of):
                self._count(owner, -1)
            self._suspects.add(owner)
        for back in _pointers(of):
            _take(self._pointers, back, of)
            self._suspects.add(back)

    def add(self, of: Record) -> None:
        what = f"record {str(of)!r} is not served"
        tried = contained.attempt(functools.partial(added.rendered, of), of.id, what)
        if isinstance(tried, Failure):
            self._spoiled[of.id] = tried
            return
        for owner in added.owners(of, self._ground.suffix):
            if _put(self._owners, owner, of):
                self._count(owner, 1)
            self._suspects.add(owner)
        for back in _pointers(of):
            _put(self._pointers, back, of)
            self._suspects.add(back)

    def done(self, touched: Collection[bytes]) -> tuple[Layer, Collection[bytes]]:
        suspects = self._suspects.union(touched)
        for name in touched:  # whoever has it now, or no longer, shadows its records elsewhere
            for each in self._owners.get(name, ()):
                suspects.update(added.owners(each, self._ground.suffix), _pointers(each))
        for name in suspects:
            entry = self._entry(name)
            if entry is None:
                self._names.pop(name, None)
            else:
                self._names[name] = entry
        layer = Layer(self._names, self._owners, self._pointers, self._above, self._spoiled)
        return layer, suspects

    def _count(self, owner: bytes, step: int) -> None:
        """One more or less below each name between `owner` and the zone."""
        for each in between.above(owner, self._ground.zone):
            self._above[each] = self._above.get(each, 0) + step
            if not self._above[each]:
                del self._above[each]
            self._suspects.add(each)

    def _entry(self, name: bytes) -> protocol.Entry | None:
        own = self._plain.get(name)
        seen = [each for each in self._owners.get(name, ()) if not self._is_shadowed(each, name)]
        if seen:
            entry = {kind: list(found) for kind, found in (own or {}).items()}
            for each in seen:
                kind, data = added.rendered(each)
                entry.setdefault(kind, []).append(wire.record(kind, self._ground.ttl, data))
            return entry
        if own is not None:
            return own
        for each in self._pointers.get(name, ()):
            target = added.wire_name(f"{each.name}.{self._ground.suffix}")
            if target and not self._is_owned(added.wire_name(each.name)):
                return {wire.PTR: [wire.record(wire.PTR, self._ground.ttl, target)]}
        return {} if name in self._above else None

    def _is_owned(self, name: bytes) -> bool:
        return bool(self._plain.get(name))

    def _is_shadowed(self, of: Record, name: bytes) -> bool:
        if of.kind not in ADDRESSING:
            return False
        return self._is_owned(name) or self._is_owned(added.wire_name(of.name))


def _pointers(of: Record) -> Iterator[bytes]:
    """The reverse name of the address that it gives."""
    if of.kind in ADDRESSES:
        yield added.pointer(ip_address(of.data))


def _order(of: Record) -> tuple[str, str, str]:
    """As the records of a network are sorted."""
    return of.name, of.kind, of.data


def _put(by: dict[bytes, tuple[Record, ...]], name: bytes, of: Record) -> bool:
    """Whether it is the first there."""
    others = by.get(name, ())
    by[name] = tuple(sorted((*others, of), key=_order))
    return not others


def _take(by: dict[bytes, tuple[Record, ...]], name: bytes, of: Record) -> bool:
    """Whether it was the last there."""
    others = tuple(each for each in by.get(name, ()) if each.id != of.id)
    if others:
        by[name] = others
    else:
        by.pop(name, None)
    return not others

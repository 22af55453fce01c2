"""The records that people added, over the names that objects have: a change costs what it touches.

In: what was so before, the names that were touched, the records. Out: the same as if all were made
anew. What is at a name depends on who has it, on the records of that name, on addresses that lead
back to it, on names below it, on zones above it, and on the names to which its records lead; each
of these is found by the name.

A sandbox or a service keeps its name: of records beside it only TXT and SRV are taken. A name
between others is there where all above it is ours: in the network's zone, below a wildcard, and as
the `_protocol` of a host (`between`).
"""

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from resolver import protocol
from resolver.message import wire
from resolver.names import added, between, spelling
from resolver.names.ground import Ground
from sdd import contained
from sdd.model.progress import Failure
from sdd.model.record import ADDRESSING, Record
from sdd.overlaid import Draft, Overlaid

By = Overlaid[bytes, tuple[Record, ...]]
Names = Overlaid[bytes, protocol.Entry]
Changes = Mapping[bytes, protocol.Entry | None]  # None: it is gone
_ROOM: Final = len(wire.WILDCARD)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """`names` with the records; `owners` and `pointers` are the records at each name.

    `leading` are the records that lead to a name of several labels, which is one of the network's
    or not. `grown` are the names that are there by records. `claimed` says how many names claim one
    that is above them, `kin` which names of protocols are below one. `wild` are the zones of
    wildcards, and `spoiled` the failures of records that cannot be rendered.
    """

    names: Names
    owners: By = field(default_factory=Overlaid)
    pointers: By = field(default_factory=Overlaid)
    leading: By = field(default_factory=Overlaid)
    grown: Overlaid[bytes, bool] = field(default_factory=Overlaid)
    claimed: Overlaid[bytes, int] = field(default_factory=Overlaid)
    kin: Overlaid[bytes, tuple[bytes, ...]] = field(default_factory=Overlaid)
    wild: Overlaid[bytes, bool] = field(default_factory=Overlaid)
    spoiled: Mapping[str, Failure] = field(default_factory=dict)


class News(NamedTuple):
    """Names of which objects say something else; their claims; records that went and came."""

    touched: Collection[bytes]
    claims: Mapping[bytes, int]
    gone: Collection[Record]
    new: Collection[Record]


def bare(plain: Names, ground: Ground) -> Layer:
    """Without any record, or name between others: the network's own name is there by itself."""
    claimed: Draft[bytes, int] = Draft(Overlaid())
    between.count(claimed, {ground.tail: 1} if ground.tail else {})
    return Layer(names=plain, claimed=claimed.done())


def amended(before: Layer, plain: Names, news: News, ground: Ground) -> tuple[Layer, Changes]:
    """The layer after the `news`, and what differs in its names; `plain` is what is below."""
    made = _Amending(before, plain, ground)
    for each in news.gone:
        made.remove(each)
    for each in news.new:
        made.add(each)
    return made.done(news)


class _Amending:
    """From what was to what is. What is at a name is asked of everything but the names before."""

    def __init__(self, before: Layer, plain: Names, ground: Ground) -> None:
        self._before = before
        self._plain = plain
        self._ground = ground
        self._owners, self._pointers = Draft(before.owners), Draft(before.pointers)
        self._leading = Draft(before.leading)
        self._grown, self._wild = Draft(before.grown), Draft(before.wild)
        self._claimed, self._kin = Draft(before.claimed), Draft(before.kin)
        self._spoiled = dict(before.spoiled)
        self._suspects: set[bytes] = set()

    def remove(self, of: Record) -> None:
        if self._spoiled.pop(of.id, None):
            return
        self._suspects.update(*self._places(of))
        for by, name in self._entered(of):
            others = tuple(each for each in by.get(name) or () if each.id != of.id)
            by.put(name, others or None)

    def add(self, of: Record) -> None:
        what = f"record {str(of)!r} is not served"
        tried = contained.attempt(functools.partial(self._rendered, of), of.id, what)
        if isinstance(tried, Failure):
            self._spoiled[of.id] = tried
            return
        self._suspects.update(*self._places(of))
        for by, name in self._entered(of):
            by.put(name, tuple(sorted((*(by.get(name) or ()), of), key=_order)))

    def done(self, news: News) -> tuple[Layer, Changes]:
        self._suspects.update(news.touched)
        for name in news.touched:  # whoever has it now, or no longer, shadows its records elsewhere
            for each in self._owners.get(name) or ():
                self._suspects.update(*self._places(each))
        claims = Counter(news.claims)
        for name in self._suspects:
            claims[spelling.parent(name)] += self._growth(name)
        self._suspects.update(self._rewilded(), self._reclaimed(claims))
        self._suspects.update(tuple(self._below(self._suspects)))
        self._suspects.update(tuple(self._led(self._suspects)))
        was = self._before.names
        found = ((name, self._entry(name)) for name in self._suspects)
        changes = {name: entry for name, entry in found if entry != was.get(name)}
        layer = Layer(
            names=was.changed(changes),
            owners=self._owners.done(),
            pointers=self._pointers.done(),
            leading=self._leading.done(),
            grown=self._grown.done(),
            claimed=self._claimed.done(),
            kin=self._kin.done(),
            wild=self._wild.done(),
            spoiled=self._spoiled,
        )
        return layer, changes

    # --- who is concerned ---------------------------------------------------------------------

    def _places(self, of: Record) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Where the record is found, and what leads back to it."""
        return added.owners(of, self._ground.tail), tuple(added.pointers(of))

    def _entered(self, of: Record) -> Iterator[tuple[Draft[bytes, tuple[Record, ...]], bytes]]:
        """Each place in each of the orders in which the record is found."""
        owners, pointers = self._places(of)
        yield from ((self._owners, name) for name in owners)
        yield from ((self._pointers, name) for name in pointers)
        if "." in (target := added.lead(of)):
            yield self._leading, spelling.spelled(target)

    def _growth(self, name: bytes) -> int:
        """1 if records make the name now and did not before, -1 for the contrary."""
        seen = self._seen(name)
        is_grown = bool(seen) or (name not in self._plain and self._back(name) is not None)
        if name.startswith(wire.WILDCARD):
            self._wild.put(name[_ROOM:], any(each.is_wildcard for each in seen) or None)
        change = is_grown - (name in self._grown)
        self._grown.put(name, is_grown or None)
        return change

    def _rewilded(self) -> Iterator[bytes]:
        """The names between others below zones whose wildcards came or went."""
        if zones := self._turned():
            yield from (each for each in self._before.claimed if each.endswith(zones))

    def _turned(self) -> tuple[bytes, ...]:
        """The zones whose wildcards came or went."""
        was = self._before.wild
        return tuple(zone for zone, is_wild in self._wild.news.items() if is_wild != was.get(zone))

    def _led(self, names: Collection[bytes]) -> Iterator[bytes]:
        """Where records lead to any of `names`, or below zones whose wildcards came or went."""
        zones = self._turned()
        below = (each for each in self._before.leading if each.endswith(zones)) if zones else ()
        for name in (*names, *below):
            for each in self._leading.get(name) or ():
                yield from self._places(each)[0]

    def _reclaimed(self, claims: Mapping[bytes, int]) -> list[bytes]:
        """The names above others that are such now, or no more."""
        turned = between.count(self._claimed, claims)
        for name in turned:
            for host in between.hosts(name):
                others = tuple(each for each in self._kin.get(host) or () if each != name)
                mine = (name,) if name in self._claimed else ()
                self._kin.put(host, (*others, *mine) or None)
        return turned

    def _below(self, names: Collection[bytes]) -> Iterator[bytes]:
        """The names of protocols below any of `names`, which may be there with their hosts only."""
        for name in names:
            yield from self._kin.get(name) or ()

    # --- what is there ------------------------------------------------------------------------

    def _entry(self, name: bytes) -> protocol.Entry | None:
        own = self._plain.get(name)
        if seen := self._seen(name):
            entry = {kind: list(found) for kind, found in (own or {}).items()}
            for each in seen:
                kind, data = self._rendered(each)
                entry.setdefault(kind, []).append(wire.record(kind, self._ground.ttl, data))
            return entry
        return own or self._back(name) or ({} if self._is_between(name) else None)

    def _rendered(self, of: Record) -> tuple[int, bytes]:
        return added.rendered(of, self._ground.tail, self._is_own)

    def _is_own(self, name: bytes) -> bool:
        """Whether the network has the name, be it by a wildcard."""
        if name in self._plain or name in self._owners:
            return True
        return any(zone in self._wild for zone in wire.parents(name))

    def _seen(self, name: bytes) -> list[Record]:
        found = self._owners.get(name) or ()
        return [each for each in found if not self._is_shadowed(each, name)]

    def _is_shadowed(self, of: Record, name: bytes) -> bool:
        if of.kind not in ADDRESSING:
            return False
        # A reverse name is there in one form only, and shadows the record in each.
        return name in self._plain or spelling.wire_name(of.name) in self._plain

    def _back(self, name: bytes) -> protocol.Entry | None:
        """The first record that leads back from an address."""
        for each in self._pointers.get(name) or ():
            target = spelling.below(each.name, self._ground.tail)
            if target and spelling.wire_name(each.name) not in self._plain:
                return {wire.PTR: [wire.record(wire.PTR, self._ground.ttl, target)]}
        return None

    def _is_between(self, name: bytes) -> bool:
        if name not in self._claimed:
            return False
        above = wire.parents(name)
        if any(each == self._ground.zone or each in self._wild for each in above):
            return True
        return any(each in self._plain or each in self._grown for each in between.hosts(name))


def _order(of: Record) -> tuple[str, str, str]:
    """As the records of a network are sorted."""
    return of.name, of.kind, of.data

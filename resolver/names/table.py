"""The names of one network at one revision, made from those of the revision before.

In: the state, the network, the table before. Out: a table that knows what is new in it. Each object
says its names once, as long as it and what it leans on are the very same values; only names about
which somebody changed his words are put together again. So a revision costs what it changes.
"""

import hashlib
import operator
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, TypeVar

import msgspec

from resolver import protocol
from resolver.message import wire
from resolver.names import added, amended, records
from sdd import affected, contained, lineage
from sdd.affected import Affected
from sdd.model import endpoint, ids, network, service
from sdd.model.progress import Failure
from sdd.model.record import Record
from sdd.state import ClusterState

Key = TypeVar("Key", ids.ServiceId, ids.EndpointId)
On = TypeVar("On", service.Service, endpoint.Endpoint)

_BITS: Final = 128  # of a digest
_SERVICE, _ENDPOINT = range(2)  # who is heard first


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one object says, and what that was made of; with a `failure` it says nothing."""

    made_of: tuple[object, ...]
    rank: tuple[int, str]
    names: protocol.Names
    failure: Failure | None = None

    def says_as(self, other: "Said") -> bool:
        """Whether what it says is the same."""
        return (self.names, self.failure) == (other.names, other.failure)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """What the next table can be made from: who says what, who says something about a name.

    `ground` is what all depends on. `plain` are the names without the records people `added`,
    `layer` those with the ordinary ones, and `crowned` says that others are on top. `dumb` are the
    objects that can say nothing, `failures` theirs and those of such records.
    """

    ground: amended.Ground
    said: Mapping[str, Said] = field(default_factory=dict)
    holders: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)
    plain: protocol.Names = field(default_factory=dict)
    added: Sequence[Record] = ()
    layer: amended.Layer = field(default_factory=amended.Layer)
    crowned: bool = False
    dumb: frozenset[str] = frozenset()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """`digest` is a function of `names` alone, whatever way led to them.

    Whoever has the table with the digest `base` gets this one by taking `put` and leaving `gone`.
    """

    digest: str
    names: protocol.Names
    base: str = field(default="", compare=False)
    put: protocol.Names = field(default_factory=dict, compare=False)
    gone: Collection[bytes] = field(default=(), compare=False)
    memory: Memory | None = field(default=None, compare=False, repr=False)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Whose names are not among these, because they cannot be."""
        return self.memory.failures if self.memory is not None else ()


def table(
    state: ClusterState,
    net: network.Network,
    ttl: int,
    before: Table | None = None,
    news: Affected | None = None,
) -> Table:
    """The names of `net`; `ttl` in seconds. It is `before` itself when nobody says anything new.

    `news` is what may differ from the state of `before`; without it everybody is asked.
    """
    before = before or _EMPTY
    zone = b"" if net.forwards_unknown else added.wire_name(net.name)
    ground = amended.Ground(net.name, ttl, zone)
    known = before.memory if before.memory and before.memory.ground == ground else None
    then = known or Memory(ground=ground)
    said = _said(state, net, then, news if known else None)
    more = state.records_by_network.get(net.id, ())
    moved = affected.changed(then.said, said)
    restless = {
        key
        for key in moved
        if key not in then.said or key not in said or not said[key].says_as(then.said[key])
    }
    if known and not restless and _are_same(then.added, more):
        # Who says the same for another reason is remembered with that one.
        return replace(before, memory=replace(known, said=said)) if moved else before
    holders, plain = lineage.thawed(then.holders), lineage.thawed(then.plain)
    touched = _retell(holders, plain, restless, then.said, said)
    layer, suspects = _amended(then, plain, touched, more, ground)
    crown = tuple(filter(amended.is_special, more))
    names, spoiled = _crowned(layer, plain, crown, ground) if crown else (layer.names, ())
    spoiled = (*(layer.spoiled[key] for key in sorted(layer.spoiled)), *spoiled)
    dumb = then.dumb - restless | {each for each in restless & said.keys() if said[each].failure}
    failures = (*(one for each in sorted(dumb) if (one := said[each].failure)), *spoiled)
    now = Memory(
        ground=ground,
        said=said,
        holders=holders,
        plain=plain,
        added=more,
        layer=layer,
        crowned=bool(crown),
        dumb=dumb,
        failures=failures,
    )
    if not known or crown or then.crowned:
        suspects = names.keys() | before.names.keys()
    return _after(before, names, suspects, now)


def _after(before: Table, names: protocol.Names, suspects: Collection[bytes], now: Memory) -> Table:
    """The table of `names`, which differ from those before at most in `suspects`."""
    put = {
        name: names[name]
        for name in suspects
        if name in names and names[name] != before.names.get(name)
    }
    gone = tuple(name for name in suspects if name in before.names and name not in names)
    lost = sum(_weight(name, before.names[name]) for name in (*put, *gone) if name in before.names)
    found = sum(_weight(name, entry) for name, entry in put.items())
    return Table(
        digest=_digest(int(before.digest, 16) - lost + found),
        names=names,
        base=before.digest,
        put=put,
        gone=gone,
        memory=now,
    )


def _digest(total: int) -> str:
    return f"{total % (1 << _BITS):0{_BITS // 4}x}"


def _weight(name: bytes, entry: protocol.Entry) -> int:
    """What one name adds to the digest: a sum does not depend on the order of its parts."""
    data = msgspec.msgpack.encode((name, sorted(entry.items())))
    return int.from_bytes(hashlib.blake2b(data, digest_size=_BITS // 8).digest(), "big")


_EMPTY: Final = Table(digest=_digest(0), names={})


# --- who says what ------------------------------------------------------------------------------


def _said(
    state: ClusterState, net: network.Network, then: Memory, news: Affected | None
) -> Mapping[str, Said]:
    if news is None:
        services: Sequence[service.Service] = state.services_by_network.get(net.id, ())
        ends: Sequence[endpoint.Endpoint] = state.endpoints_by_network.get(net.id, ())
        return lineage.Version(_words(state, services, ends, then))
    services = _there(state.services, news.services, net)
    ends = _there(state.endpoints, news.endpoints, net)
    heard = {*news.services, *news.endpoints} & then.said.keys()
    silent: dict[str, Said | None] = dict.fromkeys(heard)
    now = silent | _words(state, services, ends, then)
    other = {key: said for key, said in now.items() if then.said.get(key) is not said}
    return lineage.successor(then.said, other) if other else then.said


def _words(
    state: ClusterState,
    services: Collection[service.Service],
    ends: Collection[endpoint.Endpoint],
    then: Memory,
) -> dict[str, Said]:
    return {each.id: _of_service(state, each, then) for each in services} | {
        each.id: _of_endpoint(state, each, then) for each in ends
    }


def _there(things: Mapping[Key, On], those: Collection[Key], net: network.Network) -> Sequence[On]:
    """Those that are there, on the network."""
    found = (things.get(each) for each in those)
    return [each for each in found if each is not None and each.network == net.id]


def _of_service(state: ClusterState, svc: service.Service, then: Memory) -> Said:
    members = tuple(records.members(state, svc))
    made_of = (svc, *chain.from_iterable(members))
    return _known(then, svc.id, made_of) or _saying(
        made_of,
        (_SERVICE, svc.id),
        lambda: records.of_service(svc, members, *then.ground),
        f"service {svc.name!r} has no names",
    )


def _of_endpoint(state: ClusterState, end: endpoint.Endpoint, then: Memory) -> Said:
    box = state.sandboxes[end.sandbox]
    return _known(then, end.id, (end, box)) or _saying(
        (end, box),
        (_ENDPOINT, end.id),
        lambda: records.of_endpoint(box, end, *then.ground),
        f"sandbox {box.name!r} has no names on network {then.ground[0]!r}",
    )


def _saying(
    made_of: tuple[object, ...],
    rank: tuple[int, str],
    say: Callable[[], protocol.Names],
    what: str,
) -> Said:
    found = contained.attempt(say, rank[1], what)
    if isinstance(found, Failure):
        return Said(made_of, rank, {}, found)
    return Said(made_of, rank, found)


def _known(then: Memory, key: str, made_of: tuple[object, ...]) -> Said | None:
    said = then.said.get(key)
    return said if said is not None and _are_same(said.made_of, made_of) else None


def _are_same(some: Sequence[object], others: Sequence[object]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


# --- putting it together ------------------------------------------------------------------------


def _retell(
    holders: dict[bytes, tuple[str, ...]],
    plain: protocol.Names,
    restless: Collection[str],
    then: Mapping[str, Said],
    now: Mapping[str, Said],
) -> Collection[bytes]:
    """Brings `holders` and `plain` from `then` to `now`; the names that were touched."""
    coming: defaultdict[bytes, set[str]] = defaultdict(set)
    leaving: defaultdict[bytes, set[str]] = defaultdict(set)
    for key in restless:
        for name in then[key].names if key in then else ():
            leaving[name].add(key)
        for name in now[key].names if key in now else ():
            coming[name].add(key)
    touched = coming.keys() | leaving.keys()
    for name in touched:
        staying = {*holders.get(name, ())} - leaving.get(name, set())
        keys = sorted(staying | coming.get(name, set()), key=lambda key: now[key].rank)
        if keys:
            holders[name] = tuple(keys)
            plain[name] = _heard([now[key] for key in keys], name)
        else:
            holders.pop(name, None)
            plain.pop(name, None)
    return touched


def _heard(those: Sequence[Said], name: bytes) -> protocol.Entry:
    """What several say about one name: all the addresses, the first pointer.

    A name of a service means only the service: nobody takes its place by calling himself so
    (CVE-2022-2837). Who has only names below it says nothing of it.
    """
    those = [each for each in those if each.names[name]] or those[:1]
    first = those[0].rank[0]
    entries = [each.names[name] for each in those if each.rank[0] == first]
    if len(entries) == 1:
        return entries[0]
    heard: protocol.Entry = {}
    for kind, found in chain.from_iterable(entry.items() for entry in entries):
        if kind != wire.PTR or kind not in heard:
            heard[kind] = list(dict.fromkeys((*heard.get(kind, ()), *found)))
    return heard


def _amended(
    then: Memory,
    plain: protocol.Names,
    touched: Collection[bytes],
    more: Sequence[Record],
    ground: amended.Ground,
) -> tuple[amended.Layer, Collection[bytes]]:
    """The names with the ordinary records in them, and those that may be others than before."""
    news = amended.News(touched, _parted(then.added, more), _parted(more, then.added))
    return amended.amended(then.layer, plain, news, ground)


def _parted(those: Sequence[Record], others: Sequence[Record]) -> list[Record]:
    """The ordinary ones of `those` that are not among `others`."""
    if those is others:
        return []
    known = set(map(id, others))
    return [each for each in those if id(each) not in known and not amended.is_special(each)]


def _crowned(
    layer: amended.Layer,
    plain: protocol.Names,
    crown: Sequence[Record],
    ground: amended.Ground,
) -> tuple[protocol.Names, tuple[Failure, ...]]:
    """A copy with the special records on top; what they touch is copied as well.

    Then the failures of those that cannot be rendered.
    """
    names = dict(layer.names)
    for name in chain.from_iterable(added.owners(each, ground.suffix) for each in crown):
        if name in names:
            names[name] = {kind: list(found) for kind, found in names[name].items()}
            if name not in plain:
                names[name].pop(wire.PTR, None)  # only addresses without records have one
    spoiled = added.put(names, crown, *ground, plain=plain)
    return names, spoiled

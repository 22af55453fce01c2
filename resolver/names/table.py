"""The names of one network at one revision, made from those of the revision before.

In: the state, the network, the table before. Out: a table that knows what is new in it. Each object
says its names once, as long as it and what it leans on are the very same values; only names about
which somebody changed his words are put together again. So a revision costs what it changes.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from resolver import protocol
from resolver.message import wire
from resolver.names import amended, said
from resolver.names.ground import Ground
from resolver.names.said import Said
from sdd.affected import Affected
from sdd.model import network
from sdd.model.progress import Failure
from sdd.model.record import Record
from sdd.overlaid import Draft, Overlaid
from sdd.state import ClusterState

_BITS: Final = 8 * said.DIGEST
_NOBODY: Final[Overlaid[str, Said]] = Overlaid()
_NONE: Final[Overlaid[str, Record]] = Overlaid()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """What the next table can be made from: who says what, who says something about a name.

    `ground` is what all depends on. `holders` has for each name whoever has it, by key, or several
    in the order in which they are heard. `plain` are the names without the records people `added`,
    `layer` those with them. `dumb` are the objects that can say nothing. `total` is the digest.
    """

    ground: Ground
    said: Overlaid[str, Said]
    holders: Overlaid[bytes, str | tuple[str, ...]]
    plain: Overlaid[bytes, protocol.Entry]
    added: Overlaid[str, Record]
    layer: amended.Layer
    dumb: frozenset[str]
    total: int

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Of the objects that can say nothing, and of the records that cannot be rendered."""
        dumb = (self.said[each].failure for each in sorted(self.dumb))
        spoiled = self.layer.spoiled
        return (*filter(None, dumb), *(spoiled[each] for each in sorted(spoiled)))


@dataclass(frozen=True, slots=True)
class Table:
    """`digest` is a function of what objects and records say, whatever way led to them.

    Whoever has the table with the digest `base` gets this one by taking `put` and leaving `gone`.
    """

    digest: str
    names: Mapping[bytes, protocol.Entry]
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
    ground = Ground.of(net, ttl)
    then = before.memory if before else None
    if before is None or then is None or then.ground != ground:
        return _made(state, net, ground)
    moved = said.news(state, net, ground, then.said, news)
    records = _records(state, net, then, news)
    if not moved and not records:
        return before
    return _after(before, then, moved, records)


def stands(before: Table | None, net: network.Network, ttl: int) -> bool:
    """Whether the table of `net` can be made from `before`, and not only from nothing."""
    then = before.memory if before else None
    return then is not None and then.ground == Ground.of(net, ttl)


def _records(
    state: ClusterState, net: network.Network, then: Memory, news: Affected | None
) -> dict[str, Record | None]:
    """The records on the network that are new or others; None for those that are gone."""
    now: dict[str, Record | None]
    if news is None:
        now = dict.fromkeys(then.added)
        now.update((each.id, each) for each in state.records_by_network.get(net.id, ()))
    else:
        found = ((each, state.records.get(each)) for each in news.records)
        now = {key: one if one and one.network == net.id else None for key, one in found}
    return {key: one for key, one in now.items() if then.added.get(key) is not one}


def _made(state: ClusterState, net: network.Network, ground: Ground) -> Table:
    """From nothing: all is told at once, which costs much less than one after the other."""
    all_said = {
        key: one for key, one in said.news(state, net, ground, _NOBODY, None).items() if one
    }
    more = {str(each.id): each for each in state.records_by_network.get(net.id, ())}
    holders, names = _told(all_said)
    plain = Overlaid(names)
    claims = Counter(chain.from_iterable([one.claims for one in all_said.values()]))
    news = amended.News((), claims, (), tuple(more.values()))
    layer, _ = amended.amended(amended.bare(plain, ground), plain, news, ground)
    weights = sum(one.weight for one in all_said.values()) + sum(map(_weight, more.values()))
    now = Memory(
        ground=ground,
        said=Overlaid(all_said),
        holders=Overlaid(holders),
        plain=plain,
        added=Overlaid(more),
        layer=layer,
        dumb=frozenset(key for key, one in all_said.items() if one.failure),
        total=said.weight(*ground) + weights,
    )
    return Table(digest=_digest(now), names=layer.names, memory=now)


def _after(
    before: Table,
    then: Memory,
    moved: Mapping[str, Said | None],
    records: Mapping[str, Record | None],
) -> Table:
    pairs = {key: (then.said.get(key), one) for key, one in moved.items()}
    # Who says the same for another reason is remembered with that one.
    restless = {
        key: (was, one)
        for key, (was, one) in pairs.items()
        if was is None or one is None or not one.says_as(was)
    }
    all_said = then.said.changed(moved)
    if not restless and not records:
        return replace(before, memory=replace(then, said=all_said))
    holders, plain = Draft(then.holders), Draft(then.plain)
    touched = _retell(holders, plain, restless, all_said)
    claims: Counter[bytes] = Counter()
    for was, one in restless.values():
        claims.update(one.claims if one else ())
        claims.subtract(was.claims if was else ())
    lost = [each for each in map(then.added.get, records) if each]
    found = [each for each in records.values() if each]
    beneath = plain.done()
    layer, changes = amended.amended(
        then.layer, beneath, amended.News(touched, claims, lost, found), then.ground
    )
    came = [one for _, one in restless.values() if one]
    went = [was for was, _ in restless.values() if was]
    now = Memory(
        ground=then.ground,
        said=all_said,
        holders=holders.done(),
        plain=beneath,
        added=then.added.changed(records),
        layer=layer,
        dumb=then.dumb - restless.keys()
        | {key for key, (_, one) in restless.items() if one and one.failure},
        total=then.total
        + sum(one.weight for one in came)
        - sum(one.weight for one in went)
        + sum(map(_weight, found))
        - sum(map(_weight, lost)),
    )
    return Table(
        digest=_digest(now),
        names=layer.names,
        base=before.digest,
        put={name: entry for name, entry in changes.items() if entry is not None},
        gone=tuple(name for name, entry in changes.items() if entry is None),
        memory=now,
    )


def _digest(of: Memory) -> str:
    return f"{of.total % (1 << _BITS):0{_BITS // 4}x}"


def _weight(of: Record) -> int:
    return said.weight(of.name, of.kind, of.data)


# --- putting it together ------------------------------------------------------------------------


def _told(
    now: Mapping[str, Said],
) -> tuple[dict[bytes, str | tuple[str, ...]], protocol.Names]:
    """Who has each name, and what is said of it."""
    holders: dict[bytes, str | tuple[str, ...]] = {}
    plain: protocol.Names = {}
    for key, one in now.items():
        plain |= one.names
        holders |= dict.fromkeys(one.names, key)
    if len(plain) < sum([len(one.names) for one in now.values()]):  # else each is somebody's alone
        several: defaultdict[bytes, list[str]] = defaultdict(list)
        for key, one in now.items():
            for name in one.names:
                if holders[name] != key:
                    several[name].append(key)
        for name, keys in several.items():
            found = _sorted((*keys, *_keys(holders[name])), now)
            holders[name] = found
            plain[name] = _heard([now[key] for key in found], name)
    return holders, plain


def _retell(
    holders: Draft[bytes, str | tuple[str, ...]],
    plain: Draft[bytes, protocol.Entry],
    restless: Mapping[str, tuple[Said | None, Said | None]],
    now: Mapping[str, Said],
) -> Collection[bytes]:
    """Brings `holders` and `plain` to what is said `now`; the names that were touched."""
    coming: defaultdict[bytes, set[str]] = defaultdict(set)
    leaving: defaultdict[bytes, set[str]] = defaultdict(set)
    for key, (was, one) in restless.items():
        for name in was.names if was else ():
            leaving[name].add(key)
        for name in one.names if one else ():
            coming[name].add(key)
    touched = coming.keys() | leaving.keys()
    for name in touched:
        staying = {*_keys(holders.get(name))} - leaving.get(name, set())
        keys = _sorted(staying | coming.get(name, set()), now)
        holders.put(name, keys[0] if len(keys) == 1 else keys or None)
        plain.put(name, _heard([now[key] for key in keys], name) if keys else None)
    return touched


def _keys(of: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (of,) if isinstance(of, str) else of or ()


def _sorted(keys: Iterable[str], now: Mapping[str, Said]) -> tuple[str, ...]:
    return tuple(sorted(keys, key=lambda key: (now[key].kind, key)))


def _heard(those: Sequence[Said], name: bytes) -> protocol.Entry:
    """What several say about one name: all the addresses, the first pointer.

    A name of a service means only the service: nobody takes its place by calling himself so
    (CVE-2022-2837).
    """
    first = those[0].kind
    entries = [each.names[name] for each in those if each.kind is first]
    if len(entries) == 1:
        return entries[0]
    heard: protocol.Entry = {}
    for kind, found in chain.from_iterable(entry.items() for entry in entries):
        if kind != wire.PTR or kind not in heard:
            heard[kind] = list(dict.fromkeys((*heard.get(kind, ()), *found)))
    return heard

"""The aliases of an answer: which of its records are about what was asked, and where they lead.

In: the answers of a message whose records are whole. Out: the aliases in order, and which records
are at a name of the chain. An answer may speak of the name that was asked and of those that its
aliases lead to, of nothing else (RFC 2181 §5.4.1): musl takes any address that it finds.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from resolver.message import spelled, wire

MOST: Final = 10  # aliases in a row; nobody means more (dns_and_users.md A3)
_DNAME: Final = 39
_RRSIG: Final = 46
_POINTER: Final = 0xC000


class Head(NamedTuple):
    """Where a record and its data begin, and its type."""

    begin: int
    kind: int
    body: int


class Alias(NamedTuple):
    """A CNAME: the number of its record, and the lower-cased name to which it leads."""

    number: int
    target: bytes


class Chain(NamedTuple):
    """`kept` are the numbers of the records that belong to it."""

    aliases: tuple[Alias, ...]
    kept: tuple[int, ...]


def is_plain(data: bytes, heads: Sequence[Head]) -> bool:
    """Whether all records are at the name that was asked, and none is an alias: the usual case."""
    return all(
        each.kind not in (wire.CNAME, _DNAME) and data[each.begin : each.begin + 2] == wire.POINTER
        for each in heads
    )


def whole(heads: Sequence[Head]) -> Chain:
    """All of them, without a look at where they lead."""
    return Chain((), tuple(range(len(heads))))


def of(data: bytes, heads: Sequence[Head]) -> Chain | None:
    """The chain that begins at the question's name; None when it has more than `MOST` aliases.

    The records may come in any order: some servers turn all of an answer, not only sets.
    """
    if is_plain(data, heads):
        return whole(heads)
    known: spelled.Known = {}
    if straight := _straight(data, heads, known):
        return Chain(straight, tuple(range(len(heads))))
    owners = [spelled.name(data, each.begin, known).lower() for each in heads]
    leads: dict[bytes, bytes] = {}
    for owner, each in zip(owners, heads, strict=True):
        if each.kind == wire.CNAME:
            leads.setdefault(owner, spelled.name(data, each.body, known).lower())
    at = spelled.name(data, wire.HEADER, known).lower()
    names = {at: None}
    while (at := leads.get(at, at)) not in names:
        names[at] = None
    if len(names) > MOST + 1:
        return None
    above = {zone for each in names for zone in wire.parents(each)}
    moved = {
        owner
        for owner, each in zip(owners, heads, strict=True)
        if each.kind == _DNAME and owner in above
    }
    kept = tuple(
        number
        for number, (owner, each) in enumerate(zip(owners, heads, strict=True))
        if owner in names or (owner in moved and each.kind in (_DNAME, _RRSIG))
    )
    order = list(names)
    found = (
        (order.index(owners[number]), number) for number in kept if heads[number].kind == wire.CNAME
    )
    aliases = (
        Alias(number, spelled.name(data, heads[number].body, known).lower())
        for _, number in sorted(found)
    )
    return Chain(tuple(aliases), kept)


def _straight(data: bytes, heads: Sequence[Head], known: spelled.Known) -> tuple[Alias, ...] | None:
    """The aliases, where each owner points to where the alias before it leads: the usual form."""
    at, bodies = wire.HEADER, []
    for number, each in enumerate(heads):
        if int.from_bytes(data[each.begin : each.begin + 2], "big") != _POINTER + at:
            return None
        if each.kind == wire.CNAME:
            at = each.body
            bodies.append((number, at))
    if len(bodies) > MOST or any(each.kind == _DNAME for each in heads):
        return None
    return tuple(Alias(number, spelled.name(data, at, known).lower()) for number, at in bodies)

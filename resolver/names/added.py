"""Records that people added → names of a network's table, behind what objects have themselves.

In: the table so far and the records of sdd.model.record. Out: the same table with more in it. A
sandbox or a service keeps its name: of records beside it only TXT and SRV are taken.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address
from itertools import chain
from types import MappingProxyType
from typing import Final

from resolver import protocol
from resolver.message import wire
from resolver.names import between
from sdd import contained
from sdd.model import address
from sdd.model.network import IPAddress
from sdd.model.progress import Failure
from sdd.model.record import ADDRESSES, ADDRESSING, Record, RecordType

CACHED: Final = 32768  # names and addresses whose wire form is kept: they go, and come back
_STRING: Final = 255  # RFC 1035 §3.3.14: longer texts are several strings


def put(
    names: protocol.Names,
    added: Collection[Record],
    suffix: str,
    ttl: int,
    zone: bytes = b"",
    *,
    plain: protocol.Names | None = None,
) -> tuple[Failure, ...]:
    """Adds `added` to `names`, each bare and below `suffix`, with TTL `ttl` seconds.

    `zone` is the network's name if all below it is ours, `plain` what objects have of `names`, all
    of it when it is not said. Returns the failures of those that cannot be rendered: they are left
    out.
    """
    tried = [(each, _attempted(each)) for each in added]
    failures = tuple(found for _, found in tried if isinstance(found, Failure))
    able = [(each, found) for each, found in tried if not isinstance(found, Failure)]
    has = names if plain is None else plain
    owned = frozenset(name for name, entry in has.items() if entry)
    wildcards = set()
    for each, (kind, data) in able:
        # A reverse name is there in one form only, and shadows the record in each.
        if each.kind in ADDRESSING and wire_name(each.name) in owned:
            continue
        for owner in owners(each, suffix):
            if owner in owned and each.kind in ADDRESSING:
                continue
            names.setdefault(owner, {}).setdefault(kind, []).append(wire.record(kind, ttl, data))
            if each.is_wildcard:
                wildcards.add(owner[len(wire.WILDCARD) :])
    put_owners = chain.from_iterable(owners(each, suffix) for each, _ in able)
    between.fill(names, filter(names.__contains__, put_owners), zone)
    if wildcards:
        _between(names, wildcards)
    shown = (each for each, _ in able if wire_name(each.name) not in owned)
    _point(names, shown, suffix, ttl)
    return failures


def _attempted(of: Record) -> tuple[int, bytes] | Failure:
    what = f"record {str(of)!r} is not served"
    return contained.attempt(functools.partial(rendered, of), of.id, what)


def _point(names: protocol.Names, added: Iterable[Record], suffix: str, ttl: int) -> None:
    """PTR records `address → name.suffix`; sandboxes and services come first, then the first."""
    for each in added:
        target = wire_name(f"{each.name}.{suffix}")
        if target and each.kind in ADDRESSES and not each.is_wildcard:
            back = wire.record(wire.PTR, ttl, target)
            names.setdefault(pointer(ip_address(each.data)), {wire.PTR: [back]})


def owners(of: Record, suffix: str) -> Iterator[bytes]:
    """The wire names under which the record is found."""
    return filter(None, map(wire_name, (of.name, f"{of.name}.{suffix}")))


@functools.lru_cache(maxsize=CACHED)
def wire_name(text: str) -> bytes:
    """The same as `spelled`, remembered: for what is asked for again and again."""
    return spelled(text)


def spelled(text: str) -> bytes:
    """The wire name, empty for what DNS cannot carry.

    A namespace may be called anything, and one odd name must not take the others' answers away.
    """
    try:
        return wire.to_wire(text)
    except ValueError:
        return b""


@functools.lru_cache(maxsize=CACHED)
def pointer(of: IPAddress) -> bytes:
    """The wire name of the address's PTR record; raises `Zoned` for one that names a link."""
    address.check_stored(of)
    return wire.to_wire(of.reverse_pointer)


def rendered(of: Record) -> tuple[int, bytes]:
    """Type number and data of a record whose data is canonical."""
    return FORMS[of.kind](of.data)


def _srv(text: str) -> tuple[int, bytes]:
    *numbers, target = text.split()
    head = b"".join(int(each).to_bytes(2, "big") for each in numbers)
    return wire.SRV, head + (b"\0" if target == "." else wire.to_wire(target))


def _txt(text: str) -> tuple[int, bytes]:
    data = text.encode()
    parts = (data[at : at + _STRING] for at in range(0, len(data), _STRING))
    return wire.TXT, b"".join(bytes((len(part),)) + part for part in parts)


FORMS: Mapping[RecordType, Callable[[str], tuple[int, bytes]]] = MappingProxyType(
    {
        RecordType.A: lambda text: (wire.A, IPv4Address(text).packed),
        RecordType.AAAA: lambda text: (wire.AAAA, address.parse_v6(text).packed),
        RecordType.CNAME: lambda text: (wire.CNAME, wire.to_wire(text)),
        RecordType.TXT: _txt,
        RecordType.SRV: _srv,
    }
)


def _between(names: protocol.Names, zones: set[bytes]) -> None:
    """Names that exist only because of what is below them: no wildcard stands for them.

    RFC 4592 §2.2.2; without wildcards nobody would tell them from names that do not exist.
    """
    for owner in tuple(names):
        passed: list[bytes] = []
        for zone in wire.parents(owner):
            if zone in zones:
                for each in passed:
                    names.setdefault(each, {})
            passed.append(zone)

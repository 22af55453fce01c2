"""One record that people added → its names and its bytes.

In: a record of sdd.model.record. Out: what a network's table takes of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address
from types import MappingProxyType
from typing import Final

from resolver.message import wire
from resolver.names import records, spelling
from sdd.model import address, loopback, tlds
from sdd.model.port import Protocol
from sdd.model.record import ADDRESSES, NAMING, Record, RecordType

_TASKS: Final = [records.TASKS.removesuffix(".")]
_PROTOCOLS: Final = [[f"_{each}"] for each in Protocol]
_AROUND: Final = 27  # bytes of an answer beside names and records: header, type and class, OPT
_STRING: Final = 255  # RFC 1035 §3.3.14: longer texts are several strings


def owners(of: Record, tail: bytes) -> tuple[bytes, ...]:
    """The wire names under which the record is found: bare, and below its network's name."""
    return spelling.owners(of.name, tail)


def pointers(of: Record) -> Iterator[bytes]:
    """The reverse name of the address that it gives; wildcards have none."""
    if of.kind in ADDRESSES and not of.is_wildcard:
        yield spelling.pointer(ip_address(of.data))


def rendered(
    of: Record, tail: bytes, is_own: Callable[[bytes], bool] = lambda _: True
) -> tuple[int, bytes]:
    """Type number and data of a record whose data is canonical; see `target`."""
    return FORMS[of.kind](of.data, target(of, tail, is_own))


def lead(of: Record) -> str:
    """The name to which the record leads, as it was given; empty where it leads to none."""
    if of.kind not in NAMING:
        return ""
    return of.data.rpartition(" ")[2].removesuffix(".")


def target(of: Record, tail: bytes, is_own: Callable[[bytes], bool]) -> bytes:
    """The wire name to which the record leads; the root where that is none.

    A name of the record's own network has the network's behind it: whoever is on others too would
    find theirs by the bare one, and others would be asked for it once it is gone. That is each name
    of one label but `localhost`, and of several those that only a network has (`is_ours`) and
    what `is_own` says of the bare one.
    """
    text = lead(of)
    if not text:
        return spelling.ROOT
    bare = wire.to_wire(text)
    if tail in wire.parents(bare) or loopback.is_loopback(text):
        return bare
    whole = spelling.below(text, tail)
    return whole if whole and (is_ours(text) or is_own(bare)) else bare


def is_ours(text: str) -> bool:
    """Whether the target `text` is a name of the record's network, be it there or not.

    `tasks.NAME` and `_PORT._PROTOCOL.NAME` are a service's, of which nobody else is asked before it
    comes or when it has gone, unless NAME is a public domain: that has such names, too.
    """
    *first, name = text.split(".")
    if not first:
        return not loopback.is_loopback(text)
    if name in tlds.PUBLIC:
        return False
    return first == _TASKS or (first[0].startswith("_") and first[1:] in _PROTOCOLS)


def fits(those: Iterable[Record], tail: bytes) -> bool:
    """Whether one answer takes them all; they are of one name and type, each after a pointer to it.

    By the longest name that they are asked for, which for wildcards is any below theirs.
    """
    room = wire.STREAM_LIMIT - _AROUND
    head = len(wire.POINTER) + wire.RECORD_HEAD
    for each in those:
        room -= head + len(rendered(each, tail)[1])
        longest = wire.MOST_NAME if each.is_wildcard else max(map(len, owners(each, tail)))
        if room < longest:
            return False
    return True


def _srv(text: str, name: bytes) -> tuple[int, bytes]:
    *numbers, _ = text.split()
    return wire.SRV, b"".join(int(each).to_bytes(2, "big") for each in numbers) + name


def _txt(text: str, _: bytes) -> tuple[int, bytes]:
    data = text.encode()
    parts = (data[at : at + _STRING] for at in range(0, len(data), _STRING))
    return wire.TXT, b"".join(bytes((len(part),)) + part for part in parts)


# By the canonical data, and the name to which these lead.
FORMS: Mapping[RecordType, Callable[[str, bytes], tuple[int, bytes]]] = MappingProxyType(
    {
        RecordType.A: lambda text, _: (wire.A, IPv4Address(text).packed),
        RecordType.AAAA: lambda text, _: (wire.AAAA, address.parse_v6(text).packed),
        RecordType.CNAME: lambda _, name: (wire.CNAME, name),
        RecordType.TXT: _txt,
        RecordType.SRV: _srv,
    }
)

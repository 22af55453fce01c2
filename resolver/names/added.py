"""One record that people added → its names and its bytes.

In: a record of sdd.model.record. Out: what a network's table takes of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address
from types import MappingProxyType
from typing import Final

from resolver.message import wire
from resolver.names import spelling
from sdd.model import address
from sdd.model.record import ADDRESSES, Record, RecordType

_AROUND: Final = 27  # bytes of an answer beside names and records: header, type and class, OPT
_STRING: Final = 255  # RFC 1035 §3.3.14: longer texts are several strings


def owners(of: Record, tail: bytes) -> tuple[bytes, ...]:
    """The wire names under which the record is found: bare, and below its network's name."""
    return spelling.owners(of.name, tail)


def pointers(of: Record) -> Iterator[bytes]:
    """The reverse name of the address that it gives; wildcards have none."""
    if of.kind in ADDRESSES and not of.is_wildcard:
        yield spelling.pointer(ip_address(of.data))


def rendered(of: Record) -> tuple[int, bytes]:
    """Type number and data of a record whose data is canonical."""
    return FORMS[of.kind](of.data)


def fits(those: Iterable[Record], tail: bytes) -> bool:
    """Whether one answer takes them all; they are of one name and type, each after a pointer to it.

    By the longest name that they are asked for, which for wildcards is any below theirs.
    """
    room = wire.STREAM_LIMIT - _AROUND
    head = len(wire.POINTER) + wire.RECORD_HEAD
    for each in those:
        room -= head + len(rendered(each)[1])
        longest = wire.MOST_NAME if each.is_wildcard else max(map(len, owners(each, tail)))
        if room < longest:
            return False
    return True


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

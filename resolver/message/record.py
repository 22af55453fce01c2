"""One record of a message, checked: every name and length of it lies inside the message.

In: bytes from outside and where a record begins. Out: where its parts are, or None.
"""

import bisect
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from resolver.message import spelled, wire

FIXED: Final = struct.Struct(">HHIH")  # type, class, TTL and length, behind the owner
POINTER: Final = 0xC0
# Of a known length whatever they say: stubs copy so much without looking (CVE-2023-4527).
LENGTHS: Final[Mapping[int, int]] = MappingProxyType({wire.A: 4, wire.AAAA: 16})
_TTL = 4  # where in a record's fixed part its TTL lies
_SOA_NUMBERS = 20


def sane(ttl: int) -> int:
    """A TTL with the top bit set means 0 (RFC 2181 §8)."""
    return 0 if ttl & 0x80000000 else ttl


def read(data: bytes, at: int, ttls: list[int]) -> tuple[int, int, int, int] | None:
    """(start of data, end, type, TTL) of the record at `at`, None when it is not whole.

    `ttls` says where the TTLs of the records before it lie; this one's is added.
    """
    at = _name(data, at, ttls)
    if not at or at + FIXED.size > len(data):
        return None
    kind, klass, ttl, length = FIXED.unpack_from(data, at)
    ttls.append(at + _TTL)
    body = at + FIXED.size
    end = body + length
    # Nothing but class IN is ever asked; of an OPT the field is a size.
    if end > len(data) or (klass != wire.IN and kind != wire.OPT):
        return None
    if length != LENGTHS.get(kind, length):
        return None
    if kind in spelled.NAMES:
        before, count = spelled.NAMES[kind]
        inside = body + before
        for _ in range(count):
            inside = _name(data, inside, ttls)
            if not inside or inside > end:
                return None
        if inside + (_SOA_NUMBERS if kind == wire.SOA else 0) != end:
            return None
    return body, end, kind, sane(ttl)


def _name(data: bytes, at: int, ttls: list[int]) -> int:
    """Where the name at `at` ends; 0 for a bad one.

    Its pointers are followed: each must lead to labels that end before those that led to it, so
    the way is finite, and the whole must be a name of at most 255 bytes (RFC 9267). Behind a
    pointer is what was a name before (RFC 1035 §4.1.4), never the fixed part of a record: its TTL
    changes on the way to the client, and the name with it.
    """
    limit = len(data)
    end = 0
    begin = at
    total = 1
    while at < limit:
        length = data[at]
        if length >= POINTER and at + 2 <= limit:
            if end and _is_fixed(ttls, begin, at + 2):
                return 0
            end = end or at + 2
            limit = begin
            begin = at = int.from_bytes(data[at : at + 2], "big") & 0x3FFF
            if at < wire.HEADER:
                return 0
        elif not length:
            return 0 if end and _is_fixed(ttls, begin, at + 1) else end or at + 1
        elif length > wire.MOST_LABEL:
            return 0
        else:
            at += length + 1
            total += length + 1
            if total > wire.MOST_NAME:
                return 0
    return 0


def _is_fixed(ttls: list[int], begin: int, end: int) -> bool:
    """Whether any byte from `begin` to `end` is of a fixed part of the records with those TTLs."""
    after = bisect.bisect_right(ttls, begin + _TTL - FIXED.size)  # the first not wholly before
    return after < len(ttls) and ttls[after] - _TTL < end

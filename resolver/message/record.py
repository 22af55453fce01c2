"""One record of a message, checked: every name and length of it lies inside the message.

In: bytes from outside and where a record begins. Out: where its parts are, or None.
"""

import bisect
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from resolver.message import spelled, wire

FIXED: Final = struct.Struct(">HHIH")  # type, class, TTL and length, behind the owner
POINTER: Final = 0xC0
# Of a known length whatever they say: stubs copy so much without looking (CVE-2023-4527).
LENGTHS: Final[Mapping[int, int]] = MappingProxyType({wire.A: 4, wire.AAAA: 16})
MOST_POINTERS: Final = 128  # of one name, which has 127 labels at most
_TTL = 4  # where in a record's fixed part its TTL lies
_SOA_NUMBERS = 20


class Behind(NamedTuple):
    """What a pointer leads to: where those labels end, the bytes and pointers to the root."""

    stop: int
    size: int
    pointers: int


Known = dict[int, Behind]  # by where they begin; of one message


def sane(ttl: int) -> int:
    """A TTL with the top bit set means 0 (RFC 2181 §8)."""
    return 0 if ttl & 0x80000000 else ttl


def read(data: bytes, at: int, ttls: list[int], known: Known) -> tuple[int, int, int, int] | None:
    """(start of data, end, type, TTL) of the record at `at`, None when it is not whole.

    `ttls` says where the TTLs of the records before it lie, `known` what their pointers led to;
    this one's are added.
    """
    at = _name(data, at, ttls, known)
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
            inside = _name(data, inside, ttls, known)
            if not inside or inside > end:
                return None
        if inside + (_SOA_NUMBERS if kind == wire.SOA else 0) != end:
            return None
    return body, end, kind, sane(ttl)


def _name(data: bytes, at: int, ttls: list[int], known: Known) -> int:
    """Where the name at `at` ends; 0 for a bad one, as RFC 9267 lists them."""
    mark = _labels(data, at, len(data))
    if not mark:
        return 0
    if not data[mark]:
        return mark + 1
    return mark + 2 if _leads(data, at, mark, ttls, known) else 0


def _labels(data: bytes, at: int, limit: int) -> int:
    """Where behind the labels at `at` the root or a pointer is, before `limit`; 0 for neither."""
    most = at + wire.MOST_NAME
    while at < limit and at < most:
        length = data[at]
        if not length:
            return at
        if length >= POINTER:
            return at if at + 2 <= limit else 0
        if length > wire.MOST_LABEL:
            return 0
        at += length + 1
    return 0


def _leads(data: bytes, begin: int, mark: int, ttls: list[int], known: Known) -> bool:
    """Whether the pointer at `mark`, behind labels from `begin` on, leads to the rest of a name.

    Each pointer must lead to labels that end before those that led to it, so the way is finite, and
    the whole must be a name of at most 255 bytes and of no more pointers than such a name has
    labels. Behind a pointer is what was a name before (RFC 1035 §4.1.4), never the fixed part of a
    record: its TTL changes on the way to the client, and the name with it. What was seen once is
    not looked at again: names of a message may share long ways, and hundreds of them.
    """
    total, further = mark - begin + 1, 0
    passed: list[tuple[int, int, int]] = []
    while data[mark]:
        limit = begin
        begin = int.from_bytes(data[mark : mark + 2], "big") & 0x3FFF
        if (seen := known.get(begin)) is not None:
            total += seen.size
            further = 1 + seen.pointers
            if seen.stop > limit:
                return False
            break
        if (
            len(passed) > MOST_POINTERS
            or begin < wire.HEADER
            or not (mark := _labels(data, begin, limit))
        ):
            return False
        stop = mark + (2 if data[mark] else 1)
        if _is_fixed(ttls, begin, stop):
            return False
        passed.append((begin, stop, total))
        total += mark - begin
    if total > wire.MOST_NAME or len(passed) + further > MOST_POINTERS:
        return False
    for at, (first, stop, before) in enumerate(passed, 1):
        known[first] = Behind(stop, total - before, len(passed) - at + further)
    return True


def _is_fixed(ttls: list[int], begin: int, end: int) -> bool:
    """Whether any byte from `begin` to `end` is of a fixed part of the records with those TTLs."""
    after = bisect.bisect_right(ttls, begin + _TTL - FIXED.size)  # the first not wholly before
    return after < len(ttls) and ttls[after] - _TTL < end

"""A few attributes of long messages, the others passed over. For the format see `netlink`."""

import struct
from collections.abc import Sequence

_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
_TYPE_MASK = 0x3FFF


def picked(data: bytes, offset: int, kinds: Sequence[int]) -> list[bytes]:
    """The payloads of `kinds` behind `offset`, empty for what is not there; others are passed over.

    Of thousands of long messages, of which two attributes matter: half of what `walk` takes.
    """
    found = [b""] * len(kinds)
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size or offset + length > len(data):
            break
        if (kind := kind & _TYPE_MASK) in kinds:
            found[kinds.index(kind)] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found

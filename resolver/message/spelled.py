"""Records of a message with their names written out, for whoever puts them into another one.

In: bytes that `reply.read` has seen to be whole. Out: names and records without pointers.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from resolver.message import wire

# Where the names lie in the data of the types that may compress them (RFC 1035 §3.3, 3597 §4):
# bytes before the first name, number of names.
NAMES: Final = {2: (0, 1), 5: (0, 1), 6: (0, 2), 12: (0, 1), 15: (2, 1), 33: (6, 1), 39: (0, 1)}
_POINTER: Final = 0xC0

Known = dict[int, bytes]  # names by where they begin


def records(image: bytes, begin: int, ends: Iterable[int], known: Known) -> Iterator[bytes]:
    """The records that lie one after the other from `begin` on, each with its owner."""
    for end in ends:
        body = wire.skip_name(image, begin) + wire.RECORD_HEAD
        head = image[body - wire.RECORD_HEAD : body - 2]
        data = _data(image, body, end, known)
        yield name(image, begin, known) + head + len(data).to_bytes(2, "big") + data
        begin = end


def name(image: bytes, at: int, known: Known) -> bytes:
    """The name at `at`. What stands behind a pointer is written out once for all that share it."""
    passed: list[tuple[int, bytes]] = []
    while at not in known:
        begin = at
        while image[at] and image[at] < _POINTER:
            at += image[at] + 1
        passed.append((begin, image[begin:at]))
        if not image[at]:
            known[begin] = image[begin : at + 1]
            passed.pop()
            at = begin
        else:
            at = int.from_bytes(image[at : at + 2], "big") & 0x3FFF
    whole = known[at]
    for begin, labels in reversed(passed):
        whole = known[begin] = labels + whole
    return whole


def _data(image: bytes, body: int, end: int, known: Known) -> bytes:
    kind = int.from_bytes(image[body - wire.RECORD_HEAD :][:2], "big")
    before, count = NAMES.get(kind, (0, 0))
    at = body + before
    parts = [image[body:at]]
    for _ in range(count):
        parts.append(name(image, at, known))
        at = wire.skip_name(image, at)
    return b"".join((*parts, image[at:end]))

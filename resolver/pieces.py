"""The records of one name ↔ pieces of them that each fit a message. Pure.

In: an entry of a table, and bytes. Out: entries that are the same together. No set is told longer
than an answer takes and one record: by that the worker sees that no answer has all of it.
"""

from collections.abc import Iterator
from typing import Final

from resolver import protocol
from resolver.message import wire

_RECORD: Final = 5  # bytes of msgpack around a record, at most
_SET: Final = 16  # and around all those of one type


def of(entry: protocol.Entry, room: int) -> Iterator[protocol.Entry]:
    """`entry` in parts of `room` bytes at most."""
    piece: protocol.Entry = {}
    used = 0
    for kind, records in entry.items():
        for each in _sayable(records):
            size = len(each) + _RECORD + (0 if kind in piece else _SET)
            if used + size > room:
                yield piece
                piece, used = {}, 0
            piece.setdefault(kind, []).append(each)
            used += size
    yield piece


def joined(first: protocol.Entry, other: protocol.Entry) -> protocol.Entry:
    """Both together, in that order."""
    both = {kind: list(records) for kind, records in first.items()}
    for kind, records in other.items():
        both.setdefault(kind, []).extend(records)
    return both


def _sayable(records: list[bytes]) -> Iterator[bytes]:
    """As many as one answer takes, and one more."""
    used = 0
    for each in records:
        yield each
        used += len(wire.POINTER) + len(each)
        if used > wire.STREAM_LIMIT:
            return

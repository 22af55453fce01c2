"""What is longer than a datagram ↔ several messages of its kind, each of which fits.

In: a message of `protocol` with fields that grow with the state. Out: the same in parts, all but
the last marked `more`, and whole again at the other end. Whoever sends one at a time, as pages that
are asked for, takes `first`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from resolver import pieces, protocol

GROWING: Final[Mapping[type[protocol.Message], tuple[str, ...]]] = {
    protocol.Inventory: ("tables", "views", "listeners", "outward"),
    protocol.View: ("tables", "suffixes", "own", "upstreams", "wild", "routes"),
    protocol.Applied: ("problems", "listeners"),
    protocol.Counted: ("sums",),
    protocol.Explained: ("steps",),
}
MOST_PARTS: Final = 512  # 32 MiB, or 180 000 sandboxes: what never ends must not fill our memory
_AROUND: Final = 64  # bytes: of five containers the head of each grows by 4 at most

Whole = TypeVar("Whole", bound=protocol.Message)
Row = TypeVar("Row")


def of(whole: Whole) -> Iterator[Whole]:
    """`whole` itself when it fits, else its parts.

    Any single entry of it has to fit, but for the records of a name, which come in pieces.
    """
    if protocol.size(whole) <= protocol.MOST_BYTES:
        yield whole
        return
    fields = GROWING[type(whole)]
    blank = {name: type(getattr(whole, name))() for name in fields}
    head = protocol.size(msgspec.structs.replace(whole, **blank)) + _AROUND
    part: dict[str, Any] = {}
    used = head
    for name in fields:
        held = getattr(whole, name)
        for entry in _entries(held, protocol.MOST_BYTES - head - _AROUND):
            size = protocol.size(entry)
            if used + size > protocol.MOST_BYTES and part:
                yield msgspec.structs.replace(whole, **blank | part, more=True)
                part, used = {}, head
            _put(part.setdefault(name, type(held)()), entry)
            used += size
    yield msgspec.structs.replace(whole, **blank | part)


def is_last(message: protocol.Message) -> bool:
    """Whether nothing of the same answer follows."""
    return type(message) not in GROWING or not getattr(message, "more", False)


def joined(parts: Sequence[Whole]) -> Whole:
    """The whole that `of` took apart; raises ValueError when they do not belong together."""
    last = parts[-1]
    if len(parts) == 1:
        return last
    if any(type(each) is not type(last) for each in parts):
        raise ValueError(f"parts of something else than {type(last).__name__}")
    whole: dict[str, Any] = {name: type(getattr(last, name))() for name in GROWING[type(last)]}
    for part in parts:
        for name, held in whole.items():
            _extend(held, getattr(part, name))
    return msgspec.structs.replace(last, **whole)


def first(rows: Iterable[Row], room: int = protocol.MOST_BYTES - _AROUND) -> tuple[list[Row], bool]:
    """As many rows as one message takes, and whether others are left."""
    taken: list[Row] = []
    for row in rows:
        room -= protocol.size(row)
        if room < 0:
            return taken, True
        taken.append(row)
    return taken, False


def _entries(held: Any, room: int) -> Iterator[Any]:
    if not isinstance(held, dict):
        yield from held
        return
    for key, value in held.items():
        if isinstance(value, dict) and protocol.size((key, value)) > room:
            for each in pieces.of(value, room - protocol.size(key)):
                yield key, each
        else:
            yield key, value


def _put(held: Any, entry: Any) -> None:
    if isinstance(held, dict):
        _add(held, *entry)
    else:
        held.append(entry)


def _extend(held: Any, others: Any) -> None:
    if isinstance(held, dict):
        for key, value in others.items():
            _add(held, key, value)
    else:
        held.extend(others)


def _add(held: dict[Any, Any], key: Any, value: Any) -> None:
    known = held.get(key)
    if not isinstance(known, dict):
        held[key] = value
    elif all(isinstance(each, list) for each in (*known.values(), *value.values())):
        held[key] = pieces.joined(known, value)
    else:
        raise ValueError(f"{key!r} comes twice")

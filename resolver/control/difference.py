"""What to tell a worker: the messages that turn what it has into a snapshot.

In: an inventory and a snapshot. Out: messages in the order in which they are safe to stage: tables
before the views that name them, what is gone last.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from resolver import parts, protocol
from resolver.control.snapshot import Snapshot
from resolver.names.table import Table

_ROOM: Final = protocol.MOST_BYTES - 1024  # for the message around the names
_RECORD: Final = 5  # bytes of msgpack around a record, at most


@dataclass(frozen=True, slots=True)
class Size:
    """What one name takes in a part, in bytes, at most."""

    name: bytes
    entry: protocol.Entry
    size: int


def messages(have: protocol.Inventory, want: Snapshot) -> Iterator[protocol.ToWorker]:
    """Nothing when the worker has it all. Listeners are not part of this: they need sockets."""
    for name, table in want.tables.items():
        held = have.tables.get(name)
        if held == table.digest:
            continue
        if held == table.base and (change := _change(name, table)):
            yield change
            continue
        yield from table_parts(name, table.names)
        yield protocol.TableEnd(id=name, digest=table.digest)
    for sandbox, view in want.views.items():
        if have.views.get(sandbox) != view.digest:
            yield from parts.of(_fitted_view(view))
    for sandbox in sorted((have.views.keys() | have.listeners.keys()) - want.views.keys()):
        yield protocol.Gone(sandbox=sandbox)
    for name in sorted(have.tables.keys() - want.tables.keys()):
        yield protocol.TableGone(id=name)


def table_parts(table: str, names: protocol.Names) -> Iterator[protocol.TablePart]:
    """`names` in parts that each fit one message."""
    part: protocol.Names = {}
    used = 0
    for each in map(_fitted, names.items()):
        if part and (used + each.size > _ROOM or len(part) >= protocol.NAMES_A_PART):
            yield protocol.TablePart(id=table, names=part)
            part, used = {}, 0
        part[each.name] = each.entry
        used += each.size
    if part:
        yield protocol.TablePart(id=table, names=part)


def _change(name: str, table: Table) -> protocol.TableChange | None:
    """The one message that brings the table before to this one; None when it takes several."""
    put = list(map(_fitted, table.put.items()))
    size = sum(each.size for each in put) + sum(len(each) + _RECORD for each in table.gone)
    if size > _ROOM or len(put) + len(table.gone) > protocol.NAMES_A_PART:
        return None
    return protocol.TableChange(
        id=name,
        base=table.base,
        digest=table.digest,
        put={each.name: each.entry for each in put},
        gone=list(table.gone),
    )


def _fitted_view(view: protocol.View) -> protocol.View:
    own = {each.name: each.entry for each in map(_fitted, view.own.items())}
    return msgspec.structs.replace(view, own=own) if own != view.own else view


def after(have: protocol.Inventory, want: Snapshot) -> protocol.Inventory:
    """What the worker has once `messages` are applied; listeners only lose what is gone."""
    return msgspec.structs.replace(
        have,
        revision=want.revision,
        tables={name: table.digest for name, table in want.tables.items()},
        views={name: view.digest for name, view in want.views.items()},
        listeners={name: have.listeners[name] for name in have.listeners if name in want.views},
    )


def _fitted(item: tuple[bytes, protocol.Entry]) -> Size:
    """One name with as many of its records as one message takes.

    A DNS message is as long as one of ours at most: records beyond that fit into no answer.
    """
    name, entry = item
    size = _size(name, entry)
    if size > _ROOM:
        most = (_ROOM - len(name) - 64) // max(1, len(entry))
        entry = {kind: _cut(records, most - 16) for kind, records in entry.items()}
        size = _size(name, entry)
    return Size(name=name, entry=entry, size=size)


def _size(name: bytes, entry: protocol.Entry) -> int:
    records = sum(len(each) + _RECORD for those in entry.values() for each in those)
    return len(name) + 16 + 16 * len(entry) + records


def _cut(records: list[bytes], most: int) -> list[bytes]:
    kept: list[bytes] = []
    used = 0
    for each in records:
        used += len(each) + _RECORD
        if used > most:
            break
        kept.append(each)
    return kept

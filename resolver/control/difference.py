"""What to tell a worker: the messages that turn what it has into a snapshot.

In: an inventory and a snapshot. Out: messages in the order in which they are safe to stage: tables
before the views that name them, what is gone last.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from resolver import alike, parts, protocol
from resolver.control.snapshot import Snapshot
from resolver.names.table import Table

_ROOM: Final = protocol.MOST_BYTES - 1024  # for the message around the names
_TOGETHER: Final = 200  # names of a change; as many that are gone fit, however long they are
_RECORD: Final = 5  # bytes of msgpack around a record, at most


def messages(have: protocol.Inventory, want: Snapshot) -> Iterator[protocol.ToWorker]:
    """Nothing when the worker has it all. Listeners are not part of this: they need sockets."""
    for name, table in want.tables.items():
        held = have.tables.get(name)
        if held == table.digest:
            continue
        changes = len(table.put) + len(table.gone)
        if held == table.base and changes <= max(_TOGETHER, len(table.names)):
            yield from _changes(name, table)
        else:
            yield from table_parts(name, table.names)
            yield protocol.TableEnd(id=name, digest=table.digest)
    for sandbox, view in want.views.items():
        if have.views.get(sandbox) != view.digest:
            yield from parts.of(_fitted_view(view))
    for sandbox in sorted(_known(have) - want.views.keys()):
        yield protocol.Gone(sandbox=sandbox)
    for name in sorted(have.tables.keys() - want.tables.keys()):
        yield protocol.TableGone(id=name)


def _known(have: protocol.Inventory) -> set[str]:
    """The sandboxes of which a worker has anything."""
    return {*have.views, *have.listeners, *have.outward}


def table_parts(
    table: str, names: Mapping[bytes, protocol.Entry]
) -> Iterator[protocol.TablePart[protocol.Entry]]:
    """`names` in parts that each fit one message, each made when it is wanted."""
    for part in _fitting(names):
        yield protocol.TablePart(id=table, groups=part)


def _fitting(names: Mapping[bytes, protocol.Entry]) -> Iterator[list[protocol.Group]]:
    groups = alike.groups(names)
    while some := list(itertools.islice(groups, protocol.GROUPS_A_PART)):
        yield from _parts(some)


def _parts(groups: list[protocol.Group]) -> Iterator[list[protocol.Group]]:
    """`groups` in halves, and halves of these, until all fit."""
    names, entry = groups[0]
    if protocol.size(groups) <= _ROOM:
        yield groups
    elif len(groups) > 1:
        yield from _parts(groups[: len(groups) // 2])
        yield from _parts(groups[len(groups) // 2 :])
    elif len(names) > 1:
        yield from _parts([(names[: len(names) // 2], entry)])
        yield from _parts([(names[len(names) // 2 :], entry)])
    else:
        yield [(names, _fitted(names[0], entry))]


def _changes(name: str, table: Table) -> Iterator[protocol.TableChange[protocol.Entry]]:
    """What brings the table before to this one, mostly one message.

    Of several each leads to the next by a digest that no table has: they are seen together.
    """
    put, gone = table.put, list(table.gone)
    if len(put) + len(gone) <= _TOGETHER:
        both = {each: _fitted(each, entry) for each, entry in put.items()}
        change = protocol.TableChange(
            id=name, base=table.base, digest=table.digest, put=list(alike.groups(both)), gone=gone
        )
        if protocol.size(change) <= protocol.MOST_BYTES:
            yield change
            return
    steps: list[tuple[list[protocol.Group], list[bytes]]] = [(part, []) for part in _fitting(put)]
    steps += [([], gone[at : at + _TOGETHER]) for at in range(0, len(gone), _TOGETHER)]
    base = table.base
    for number, (some, others) in enumerate(steps, 1):
        digest = table.digest if number == len(steps) else f"{table.digest}.{number}"
        yield protocol.TableChange(id=name, base=base, digest=digest, put=some, gone=others)
        base = digest


def _fitted_view(view: protocol.View) -> protocol.View:
    own = {name: _fitted(name, entry) for name, entry in view.own.items()}
    return msgspec.structs.replace(view, own=own) if own != view.own else view


def after(have: protocol.Inventory, want: Snapshot) -> protocol.Inventory:
    """What the worker has once `messages` are applied; listeners only lose what is gone."""
    return msgspec.structs.replace(
        have,
        revision=want.revision,
        tables={name: table.digest for name, table in want.tables.items()},
        views={name: view.digest for name, view in want.views.items()},
        listeners={name: have.listeners[name] for name in have.listeners if name in want.views},
        outward={name: have.outward[name] for name in have.outward if name in want.views},
    )


def _fitted(name: bytes, entry: protocol.Entry) -> protocol.Entry:
    """As many of a name's records as one message takes.

    A DNS message is as long as one of ours at most: records beyond that fit into no answer.
    """
    if _size(name, entry) <= _ROOM:
        return entry
    most = (_ROOM - len(name) - 64) // max(1, len(entry))
    return {kind: _cut(records, most - 16) for kind, records in entry.items()}


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

"""What to tell a worker: the messages that turn what it has into a snapshot.

In: an inventory and a snapshot. Out: messages in the order in which they are safe to stage: tables
before the views that name them, what is gone last.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from resolver import alike, parts, pieces, protocol
from resolver.control.snapshot import Snapshot
from resolver.names.table import Table

_ROOM: Final = protocol.MOST_BYTES - 1024  # for the message around the names
_TOGETHER: Final = 200  # names of a change; as many that are gone fit, however long they are
_OWNERS: Final = 1 << 14  # bytes of names that one entry in pieces is told of together


class _Some(NamedTuple):
    """As much of some names as one message takes: their first records, and further ones."""

    groups: list[protocol.Group]
    further: list[protocol.Group]


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
            yield from parts.of(view)
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
        yield protocol.TablePart(id=table, groups=part.groups, further=part.further)


def _fitting(names: Mapping[bytes, protocol.Entry]) -> Iterator[_Some]:
    groups = alike.groups(names)
    while some := list(itertools.islice(groups, protocol.GROUPS_A_PART)):
        yield from _parts(some)


def _parts(groups: list[protocol.Group]) -> Iterator[_Some]:
    """`groups` in halves, and halves of these, until all fit; one that never does in pieces."""
    names, entry = groups[0]
    if protocol.size(groups) <= _ROOM:
        yield _Some(groups, [])
    elif len(groups) > 1:
        yield from _parts(groups[: len(groups) // 2])
        yield from _parts(groups[len(groups) // 2 :])
    elif len(names) > 1 and protocol.size(names) > _OWNERS:
        yield from _parts([(names[: len(names) // 2], entry)])
        yield from _parts([(names[len(names) // 2 :], entry)])
    else:
        first, *others = pieces.of(entry, _ROOM - protocol.size(names))
        yield _Some([(names, first)], [])
        yield from (_Some([], [(names, each)]) for each in others)


def _changes(name: str, table: Table) -> Iterator[protocol.TableChange[protocol.Entry]]:
    """What brings the table before to this one, mostly one message.

    Of several each leads to the next by a digest that no table has: they are seen together.
    """
    put, gone = table.put, list(table.gone)
    if len(put) + len(gone) <= _TOGETHER:
        change = protocol.TableChange(
            id=name, base=table.base, digest=table.digest, put=list(alike.groups(put)), gone=gone
        )
        if protocol.size(change) <= protocol.MOST_BYTES:
            yield change
            return
    steps: list[tuple[_Some, list[bytes]]] = [(part, []) for part in _fitting(put)]
    steps += [(_Some([], []), gone[at : at + _TOGETHER]) for at in range(0, len(gone), _TOGETHER)]
    base = table.base
    for number, (some, others) in enumerate(steps, 1):
        digest = table.digest if number == len(steps) else f"{table.digest}.{number}"
        yield protocol.TableChange(
            id=name,
            base=base,
            digest=digest,
            put=some.groups,
            gone=others,
            further=some.further,
        )
        base = digest


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

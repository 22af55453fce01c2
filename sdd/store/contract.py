"""What every engine promises. Keys are text, values bytes, revisions count transactions.

One transaction makes one revision, however many keys it writes. Engines pass
tests/contract/store.py; nothing here knows SQLite, etcd or the model.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sdd import errors
from sdd.model import ids

CODE_CLOSED = "SDD-STORE-CLOSED"
CODE_LEASE = "SDD-STORE-LEASE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One key at the revision that wrote it last."""

    key: str
    value: bytes
    revision: ids.Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A consistent read of many keys: everything under the prefix as of `revision`."""

    revision: ids.Revision
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Compare: `key` was last written at `revision`; revision 0 means the key is absent."""

    key: str
    revision: ids.Revision


def absent(key: str) -> Unchanged:
    """Compare: nobody holds `key` yet."""
    return Unchanged(key, ids.Revision(0))


@dataclass(frozen=True, slots=True)
class EmptyRange:
    """Compare: no key starts with `prefix`."""

    prefix: str


Compare = Unchanged | EmptyRange


@dataclass(frozen=True, slots=True)
class Write:
    """Operation: set `key`; with a lease it goes away when the lease does."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Operation: remove `key`; removing the absent is fine."""

    key: str


Operation = Write | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """All operations happen when all compares hold, else none and `Lost` is raised.

    A key may be operated on once (etcd refuses more); ValueError otherwise. `begins_removal`:
    it is what goes before a removal, which has room where nothing else has.
    """

    compares: tuple[Compare, ...] = ()
    operations: tuple[Operation, ...]
    begins_removal: bool = False

    def __post_init__(self) -> None:
        keys = [each.key for each in self.operations]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a transaction operates twice on one key: {sorted(keys)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one transaction changed below the watched prefix; `Write.lease` is not reported."""

    revision: ids.Revision
    operations: tuple[Operation, ...]


class Lost(Exception):
    """A compare did not hold: somebody was faster. Read again and recompute."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} changed meanwhile")
        self.key = key


class Compacted(Exception):
    """The watch asked for revisions that are no longer kept. Read everything again."""


def no_lease(lease: int) -> errors.Unavailable:
    """The refusal to write with a lease that has ended."""
    return errors.Unavailable(
        f"lease {lease} has ended", hint="take a new lease and write again", code=CODE_LEASE
    )


class Store(Protocol):
    """Six verbs. Every verb raises `errors.Unavailable` when the engine cannot be reached."""

    async def get(self, key: str) -> Item | None:
        """The item, or None."""
        ...

    async def range(self, prefix: str) -> View:
        """All keys that start with `prefix`, in key order, at one revision."""
        ...

    async def commit(self, transaction: Transaction) -> ids.Revision:
        """The revision made; raises `Lost`. When it returns the data is on disk.

        A transaction that changes nothing (it only deletes what is absent) makes no revision and
        returns the newest. Raises `Unavailable` `SDD-STORE-LEASE` for a lease that has ended.
        """
        ...

    def watch(self, prefix: str, after: ids.Revision) -> AsyncIterator[Batch]:
        """Every batch with a revision above `after` that touches `prefix`, in order, for ever.

        Ends when the store is closed. Raises `Compacted` when `after` is older than the engine
        remembers.
        """
        ...

    async def lease(self, ttl_s: float) -> int:
        """A new lease id; keys written with it vanish `ttl_s` after the last `keepalive`."""
        ...

    async def keepalive(self, lease: int) -> bool:
        """Renew; False when the lease is already lost."""
        ...

    async def close(self) -> None:
        """Release everything; watches end."""
        ...

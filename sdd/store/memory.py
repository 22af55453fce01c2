"""The engine that forgets: the contract in a dictionary, for tests and scratch daemons.

In and out: the store contract. Time comes in as `clock`; nothing is written anywhere.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from sdd import errors
from sdd.model import ids
from sdd.store import contract, log

HISTORY: Final = 1024  # batches


class MemoryStore:
    """Implements `contract.Store`; `history` is how many batches a watch may look back."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, history: int = HISTORY
    ) -> None:
        self._clock = clock
        self._items: dict[str, contract.Item] = {}
        self._held: dict[str, int] = {}  # key → lease
        self._leases: dict[int, tuple[float, float]] = {}  # lease → (time to live, end)
        self._leases_given = 0
        self._revision = ids.NEVER
        self._log = log.Log(ids.NEVER, size=history)
        self._closed = False

    async def get(self, key: str) -> contract.Item | None:
        """The item, or None."""
        self._tick()
        return self._items.get(key)

    async def range(self, prefix: str) -> contract.View:
        """All keys that start with `prefix`, in key order."""
        self._tick()
        keys = sorted(key for key in self._items if key.startswith(prefix))
        return contract.View(revision=self._revision, items=tuple(self._items[key] for key in keys))

    async def commit(self, transaction: contract.Transaction) -> ids.Revision:
        """The revision made; raises `Lost`."""
        self._tick()
        for compare in transaction.compares:
            self._check(compare)
        for operation in transaction.operations:
            if isinstance(operation, contract.Write) and operation.lease:
                self._alive(operation.lease)
        return self._apply(transaction.operations)

    async def watch(self, prefix: str, after: ids.Revision) -> AsyncIterator[contract.Batch]:
        """Every batch above `after` that touches `prefix`."""
        async for batch in self._log.follow(prefix, after, self._older):
            yield batch

    async def lease(self, ttl_s: float) -> int:
        """A new lease id."""
        self._tick()
        self._leases_given += 1
        self._leases[self._leases_given] = (ttl_s, self._clock() + ttl_s)
        return self._leases_given

    async def keepalive(self, lease: int) -> bool:
        """Renew; False when the lease is already lost."""
        self._tick()
        if lease not in self._leases:
            return False
        ttl_s, _ = self._leases[lease]
        self._leases[lease] = (ttl_s, self._clock() + ttl_s)
        return True

    async def close(self) -> None:
        """End the watches; every later verb is refused."""
        self._closed = True
        self._log.close()

    def _check(self, compare: contract.Compare) -> None:
        match compare:
            case contract.Unchanged(key, revision):
                item = self._items.get(key)
                if (item.revision if item else ids.NEVER) != revision:
                    raise contract.Lost(key)
            case contract.EmptyRange(prefix):
                if any(key.startswith(prefix) for key in self._items):
                    raise contract.Lost(prefix)

    def _alive(self, lease: int) -> None:
        if lease not in self._leases:
            raise contract.no_lease(lease)

    def _apply(self, operations: Iterable[contract.Operation]) -> ids.Revision:
        revision = ids.Revision(self._revision + 1)
        done: list[contract.Operation] = []
        for operation in operations:
            match operation:
                case contract.Write(key, value, lease):
                    self._items[key] = contract.Item(key=key, value=value, revision=revision)
                    self._hold(key, lease)
                    done.append(contract.Write(key, value))
                case contract.Delete(key) if key in self._items:
                    del self._items[key]
                    self._held.pop(key, None)
                    done.append(operation)
                case contract.Delete():
                    pass
        if done:
            self._revision = revision
            self._log.append(contract.Batch(revision=revision, operations=tuple(done)))
        return self._revision

    def _hold(self, key: str, lease: int) -> None:
        if lease:
            self._held[key] = lease
        else:
            self._held.pop(key, None)

    def _tick(self) -> None:
        """Refuse after close; drop what ended leases held."""
        if self._closed:
            raise errors.Unavailable("the store is closed", code=contract.CODE_CLOSED)
        now = self._clock()
        for lease in [each for each, (_, end) in self._leases.items() if end <= now]:
            del self._leases[lease]
            keys = sorted(key for key, held in self._held.items() if held == lease)
            self._apply([contract.Delete(key) for key in keys])

    async def _older(self, after: ids.Revision) -> tuple[contract.Batch, ...]:
        raise contract.Compacted(f"revision {after} is no longer kept")

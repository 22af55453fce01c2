"""The embedded engine: the database in one owner thread, the watches on the event loop.

In and out: the store contract. A commit is on disk (WAL, synchronous=FULL) when it returns, and
its batch is in the log before that. No statement of SQL lives here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from sdd import errors
from sdd.model import ids
from sdd.store import contract, log, tables

T = TypeVar("T")


class SqliteStore:
    """Implements `contract.Store`; made by `open`, used on the loop that opened it."""

    def __init__(
        self, rows: tables.Tables, owner: ThreadPoolExecutor, clock: Callable[[], float]
    ) -> None:
        self._rows = rows
        self._owner = owner
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._log = log.Log(rows.revision)
        self._closed = False
        # A restart renews every lease, as a new etcd leader does: nobody loses one by our death.
        self._leases = {lease: (ttl, clock() + ttl) for lease, ttl in rows.inherited.items()}
        self._timer: asyncio.TimerHandle | None = None
        self._set_timer()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        history: int = tables.HISTORY,
    ) -> Self:
        """The store in the file `path`, made when it is absent; its folder must exist.

        Raises `Unavailable` for a file that is no database of ours, is damaged, in use, or of
        another schema version; such a file is not changed.
        """
        owner = ThreadPoolExecutor(1, "sdd-store")
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.run_in_executor(owner, lambda: tables.Tables(path, history=history))
            return cls(rows, owner, clock)
        except BaseException:
            owner.shutdown(wait=False)
            raise

    async def get(self, key: str) -> contract.Item | None:
        """The item, or None."""
        return await self._owned(lambda: self._rows.get(key))

    async def range(self, prefix: str) -> contract.View:
        """All keys that start with `prefix`, in key order, at one revision."""
        return await self._owned(lambda: self._rows.range(prefix))

    async def commit(self, transaction: contract.Transaction) -> ids.Revision:
        """The revision made; raises `Lost`. When it returns the data is on disk."""

        def work() -> ids.Revision:
            self._tell(self._rows.commit(transaction))
            return self._rows.revision

        return await self._owned(work)

    async def watch(self, prefix: str, after: ids.Revision) -> AsyncIterator[contract.Batch]:
        """Every batch above `after` that touches `prefix`, in order; raises `Compacted`."""
        async for batch in self._log.follow(prefix, after, self._older):
            yield batch

    async def lease(self, ttl_s: float) -> int:
        """A new lease id; keys written with it vanish `ttl_s` after the last `keepalive`."""
        lease = await self._owned(lambda: self._rows.grant(ttl_s))
        self._leases[lease] = (ttl_s, self._clock() + ttl_s)
        self._set_timer()
        return lease

    async def keepalive(self, lease: int) -> bool:
        """Renew; False when the lease is already lost."""
        await self._expire()
        if lease not in self._leases:
            return False
        ttl_s, _ = self._leases[lease]
        self._leases[lease] = (ttl_s, self._clock() + ttl_s)
        return True

    async def close(self) -> None:
        """Release the file; watches end. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        if self._timer:
            self._timer.cancel()
        await self._loop.run_in_executor(self._owner, self._rows.close)
        self._owner.shutdown()
        self._log.close()

    # --- the owner thread -------------------------------------------------------------------

    async def _owned(self, work: Callable[[], T]) -> T:
        """The result of `work` in the owner thread, after ended leases are gone."""
        await self._expire()
        return await self._submit(work)

    async def _submit(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise errors.Unavailable("the store is closed", code=contract.CODE_CLOSED)
        # Shielded: a caller that gives up must not hide whether its commit happened.
        return await asyncio.shield(self._loop.run_in_executor(self._owner, work))

    def _tell(self, batch: contract.Batch | None) -> None:
        """From the owner thread: the loop sees the batch before the result of the call."""
        if batch:
            self._loop.call_soon_threadsafe(self._log.append, batch)

    async def _older(self, after: ids.Revision) -> tuple[contract.Batch, ...]:
        return await self._submit(lambda: self._rows.since(after))

    # --- leases -----------------------------------------------------------------------------

    async def _expire(self) -> None:
        for lease in self._ended():
            await self._submit(partial(self._revoke, lease))

    def _ended(self) -> tuple[int, ...]:
        """The leases whose time is over; they are forgotten here, so each is given once."""
        now = self._clock()
        ended = tuple(lease for lease, (_, end) in self._leases.items() if end <= now)
        for lease in ended:
            del self._leases[lease]
        return ended

    def _revoke(self, lease: int) -> None:
        self._tell(self._rows.revoke(lease))

    def _set_timer(self) -> None:
        """Wake up when the next lease may end; a renewed one is simply looked at again."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._leases and not self._closed:
            wait_s = max(0.01, min(end for _, end in self._leases.values()) - self._clock())
            self._timer = self._loop.call_later(wait_s, self._wake)

    def _wake(self) -> None:
        for lease in self._ended():
            self._loop.run_in_executor(self._owner, self._revoke, lease)
        self._set_timer()

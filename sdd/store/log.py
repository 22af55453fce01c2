"""The recent past of one engine in memory, and the watches that read it.

In: batches, as they are committed. Out: for each watch every batch it asked for, in order. A watch
holds a position, no queue: however many or slow they are, memory is the one bounded ring. What is
older than the ring comes from `older`, the engine's own history.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from sdd.model import ids
from sdd.store import contract

RING = 128  # batches, of 3 KiB mostly; who falls further behind reads the engine's history

Older = Callable[[ids.Revision], Awaitable[tuple[contract.Batch, ...]]]


class Log:
    """Batches above `floor`. Used on the event loop only."""

    def __init__(self, floor: ids.Revision, *, size: int = RING) -> None:
        self._floor = floor  # the ring holds every batch above it
        self._ring: deque[contract.Batch] = deque()
        self._size = size
        self._closed = False
        self._changed = asyncio.Event()

    def append(self, batch: contract.Batch) -> None:
        """Tell every watch; revisions only grow."""
        self._ring.append(batch)
        if len(self._ring) > self._size:
            self._floor = self._ring.popleft().revision
        self._wake()

    def close(self) -> None:
        """End every watch, after it has given what is already here."""
        self._closed = True
        self._wake()

    async def follow(
        self, prefix: str, after: ids.Revision, older: Older
    ) -> AsyncIterator[contract.Batch]:
        """The batches above `after` that touch `prefix`; ends at `close`.

        `older` gives the batches above a revision below the ring, or raises `Compacted`.
        """
        last = after
        while True:
            changed = self._changed  # taken before reading: an append in between is not missed
            batches = self._since(last)
            if batches is None:
                batches = await older(last)
            for batch in batches:
                last = batch.revision
                if touched := within(prefix, batch):
                    yield touched
            if not batches:
                if self._closed:
                    return
                await changed.wait()

    def _since(self, revision: ids.Revision) -> tuple[contract.Batch, ...] | None:
        """The batches above `revision`; None when the ring does not reach back so far."""
        if revision < self._floor:
            return None
        newer = deque[contract.Batch]()
        for batch in reversed(self._ring):
            if batch.revision <= revision:
                break
            newer.appendleft(batch)
        return tuple(newer)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def within(prefix: str, batch: contract.Batch) -> contract.Batch | None:
    """The part of `batch` below `prefix`, None when there is none."""
    if not prefix:
        return batch
    kept = tuple(each for each in batch.operations if each.key.startswith(prefix))
    return contract.Batch(revision=batch.revision, operations=kept) if kept else None

"""The store's watch → the state at each revision, for whoever subscribed.

In: everything at the start, batches afterwards, everything again when the watch fell too far
behind. Out: one ClusterState per batch. It decides nothing and writes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Never

from sdd import errors, state
from sdd.control.claims import Claims
from sdd.model import ids
from sdd.store import codec, contract

RETRY_S = 1.0  # between two tries while the engine cannot be reached

Put = Callable[[state.ClusterState], None]
OnFault = Callable[[errors.SddError], None]


class Feed:
    """`state` and `claims` are complete once `start` returned; `run` keeps them so.

    `on_fault` hears why the store cannot be followed; the last state is served meanwhile.
    """

    def __init__(self, store: contract.Store, *, on_fault: OnFault = lambda _: None) -> None:
        self._store = store
        self._on_fault = on_fault
        self._subscribers: list[Put] = []
        self._started = False
        self._must_read = False  # a batch made no sense; the newest values may
        self._moved = asyncio.Event()
        self.state = state.EMPTY
        self.claims = Claims()

    async def start(self) -> None:
        """Read everything; raises Unavailable when the engine or a value cannot be read."""
        await self._read_all()

    async def run(self) -> Never:
        """Follow the store for ever; ends by cancellation, or Unavailable when it was closed."""
        while True:
            try:
                await self._follow_watch()
            except errors.Unavailable as exc:
                if exc.code == contract.CODE_CLOSED:
                    raise
                self._on_fault(exc)
                self._must_read = exc.code == codec.CODE
                await asyncio.sleep(RETRY_S)

    def subscribe(self, put: Put) -> None:
        """Call `put` with the current state, if there is one, and with each new one."""
        self._subscribers.append(put)
        if self._started:
            put(self.state)

    async def reached(self, revision: ids.Revision) -> None:
        """Wait until `state` is at `revision` or later."""
        while self.state.revision < revision:
            await self.moved()

    async def moved(self) -> None:
        """Wait for the next state."""
        await self._moved.wait()

    # --- reading ----------------------------------------------------------------------------

    async def _follow_watch(self) -> None:
        """Follow one watch; returns after a full read when the watch was compacted away."""
        if self._must_read:
            await self._read_all()
        try:
            async for batch in self._store.watch("", self.state.revision):
                self._follow(batch)
        except contract.Compacted:
            await self._read_all()
        else:
            raise errors.Unavailable("the store was closed", code=contract.CODE_CLOSED)

    async def _read_all(self) -> None:
        view = await self._store.range("")
        puts = [
            state.Put(codec.decode(item.key, item.value))
            for item in view.items
            if codec.kind_of(item.key)
        ]
        self.claims = Claims()
        for item in view.items:
            self.claims.wrote(item.key, item.value, item.revision)
        self._publish(state.EMPTY.apply(view.revision, puts).indexed())

    def _follow(self, batch: contract.Batch) -> None:
        changes = tuple(_changes(batch.operations))
        for operation in batch.operations:
            match operation:
                case contract.Write(key, value):
                    self.claims.wrote(key, value, batch.revision)
                case contract.Delete(key):
                    self.claims.deleted(key)
        self._publish(self.state.apply(batch.revision, changes))

    def _publish(self, now: state.ClusterState) -> None:
        self.state = now
        self._started = True
        self._must_read = False
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        for put in self._subscribers:
            put(now)


def _changes(operations: Iterable[contract.Operation]) -> Iterable[state.Change]:
    for operation in operations:
        kind = codec.kind_of(operation.key)
        if kind is None:
            continue
        match operation:
            case contract.Write(key, value):
                yield state.Put(codec.decode(key, value))
            case contract.Delete(key):
                yield state.Gone(kind, codec.identity(key))

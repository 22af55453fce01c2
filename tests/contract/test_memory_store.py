"""The in-memory engine passes the store's suite."""

import pytest

from sdd.store import contract
from sdd.store.memory import MemoryStore
from tests.contract.store import Engine, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def engine(self) -> Engine:
        now = [0.0]
        store = MemoryStore(clock=lambda: now[0])

        def elapse(seconds: float) -> None:
            now[0] += seconds

        async def compact() -> None:
            store._log._ring.clear()
            store._log._floor = store._revision

        return Engine(store=store, elapse=elapse, compact=compact)


async def test_its_history_is_bounded() -> None:
    store = MemoryStore(history=3)
    for n in range(5):
        await store.commit(contract.Transaction(operations=(contract.Write("a", b"%d" % n),)))
    with pytest.raises(contract.Compacted):
        await anext(store.watch("", (await store.range("")).revision.__class__(1)))
    assert len(store._log._ring) == 3

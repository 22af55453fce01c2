"""Watch → state, whatever happens to the watch."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

import pytest

from sdd import errors, state
from sdd.control import feed as feeds
from sdd.control import keys
from sdd.control.feed import Feed
from sdd.model import ids, network
from sdd.store import codec, contract
from sdd.store.contract import Delete, Transaction, Write
from sdd.store.memory import MemoryStore

SUBNET = ip_network("10.0.0.0/24")


def lab(name: str = "lab") -> network.Network:
    return network.Network(
        id=ids.NetworkId(name.ljust(64, "0")), name=name, pools=(network.Pool(subnet=SUBNET),)
    )


async def put(store: contract.Store, *values: codec.Object) -> ids.Revision:
    writes = tuple(Write(codec.key(each), codec.encode(each)) for each in values)
    return await store.commit(Transaction(operations=writes))


async def test_start_reads_everything_and_tells_who_subscribed() -> None:
    store = MemoryStore()
    revision = await put(store, lab())
    feed = Feed(store)
    seen: list[state.ClusterState] = []
    feed.subscribe(seen.append)
    assert seen == []
    await feed.start()
    assert feed.state.revision == revision
    assert feed.state.networks == {lab().id: lab()}
    assert vars(feed.state).keys() >= state.GROUPINGS.keys()  # the first command waits for none
    later: list[state.ClusterState] = []
    feed.subscribe(later.append)
    assert seen == later == [feed.state]


async def test_run_follows_every_batch() -> None:
    store = MemoryStore()
    feed = Feed(store)
    await feed.start()
    seen: list[ids.Revision] = []
    feed.subscribe(lambda now: seen.append(now.revision))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(feed.run(), name="feed")
        first = await put(store, lab())
        second = await store.commit(
            Transaction(operations=(Write("names/network/lab", b"x"), Write("other/thing", b"")))
        )
        third = await store.commit(Transaction(operations=(Delete(codec.key(lab())),)))
        await feed.reached(third)
        running.cancel()
    assert seen == [ids.NEVER, first, second, third]
    assert not feed.state.networks


async def test_revisions_and_cursors_are_those_of_the_state() -> None:
    store = MemoryStore()
    key = codec.key(lab())
    cursor = keys.cursor(lab().id, SUBNET)
    feed = Feed(store)
    await feed.start()
    assert feed.claims.revision_of(key) == ids.NEVER
    async with asyncio.TaskGroup() as group:
        running = group.create_task(feed.run(), name="feed")
        first = await put(store, lab())
        second = await store.commit(Transaction(operations=(Write(cursor, b"10.0.0.7"),)))
        await feed.reached(second)
        assert feed.claims.revision_of(key) == first
        assert feed.claims.cursor_of(lab().id, SUBNET) == ip_address("10.0.0.7")
        third = await store.commit(Transaction(operations=(Delete(key), Delete(cursor))))
        await feed.reached(third)
        running.cancel()
    assert feed.claims.revision_of(key) == ids.NEVER
    assert feed.claims.cursor_of(lab().id, SUBNET) is None


class Forgetful(MemoryStore):
    """Compacts everything the first time somebody watches."""

    def __init__(self) -> None:
        super().__init__()
        self.forgot = False

    async def _forget(self) -> None:
        self.forgot = True
        await put(self, lab("later"))
        self._log._ring.clear()
        self._log._floor = self._revision

    async def watch(self, prefix: str, after: ids.Revision) -> AsyncIterator[contract.Batch]:
        if not self.forgot:
            await self._forget()
        async for batch in super().watch(prefix, after):
            yield batch


async def test_compaction_is_healed_by_a_full_read() -> None:
    store = Forgetful()
    await put(store, lab("first"))
    feed = Feed(store)
    await feed.start()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(feed.run(), name="feed")
        await feed.reached(ids.Revision(2))
        assert {each.name for each in feed.state.networks.values()} == {"first", "later"}
        third = await put(store, lab("third"))
        await feed.reached(third)
        running.cancel()
    assert len(feed.state.networks) == 3


async def test_a_closed_store_ends_the_feed_with_an_error() -> None:
    store = MemoryStore()
    feed = Feed(store)
    await feed.start()
    await store.close()
    with pytest.raises(errors.Unavailable) as caught:
        await feed.run()
    assert caught.value.code == contract.CODE_CLOSED


async def test_a_value_that_cannot_be_read_stops_the_start() -> None:
    store = MemoryStore()
    await store.commit(Transaction(operations=(Write(codec.key(lab()), b"?"),)))
    with pytest.raises(errors.Unavailable) as caught:
        await Feed(store).start()
    assert codec.key(lab()) in caught.value.sentence


async def test_a_value_that_cannot_be_read_later_is_told_and_the_state_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "RETRY_S", 0)
    store = MemoryStore()
    await put(store, lab())
    told: asyncio.Queue[errors.SddError] = asyncio.Queue()
    feed = Feed(store, on_fault=told.put_nowait)
    await feed.start()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(feed.run(), name="feed")
        await store.commit(Transaction(operations=(Write(codec.key(lab("x")), b"?"),)))
        assert (await told.get()).code == codec.CODE
        assert set(feed.state.networks) == {lab().id}
        revision = await put(store, lab("x"))
        async with asyncio.timeout(60):
            await feed.reached(revision)
        assert len(feed.state.networks) == 2
        running.cancel()

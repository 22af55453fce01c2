"""What every engine of sdd.store.contract must do; subclasses give the engine.

Test classes subclass `StoreContract` and provide the fixture `engine`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from sdd import errors
from sdd.model import ids
from sdd.store import contract
from sdd.store.contract import Delete, EmptyRange, Transaction, Unchanged, Write, absent

NEVER = ids.NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An open store, its clock, and how to make it forget all but its newest revision."""

    store: contract.Store
    elapse: Callable[[float], None]
    compact: Callable[[], Awaitable[None]]


async def put(store: contract.Store, **pairs: str) -> ids.Revision:
    writes = tuple(Write(key, value.encode()) for key, value in pairs.items())
    return await store.commit(Transaction(operations=writes))


async def take(stream: AsyncIterator[contract.Batch], count: int) -> list[contract.Batch]:
    async with asyncio.timeout(60):
        return [await anext(stream) for _ in range(count)]


class StoreContract:
    """The suite. An engine passes all of it or is none."""

    async def test_the_absent_is_none_and_an_empty_range_is_empty(self, engine: Engine) -> None:
        assert await engine.store.get("a") is None
        assert (await engine.store.range("a")).items == ()

    async def test_what_was_written_is_read_with_its_revision(self, engine: Engine) -> None:
        revision = await put(engine.store, a="1", b="2")
        item = await engine.store.get("a")
        assert item == contract.Item(key="a", value=b"1", revision=revision)

    async def test_one_transaction_is_one_revision(self, engine: Engine) -> None:
        first = await put(engine.store, a="1", b="2", c="3")
        second = await put(engine.store, a="4")
        assert second == first + 1
        view = await engine.store.range("")
        assert view.revision == second
        assert {item.key: item.revision for item in view.items} == {
            "a": second,
            "b": first,
            "c": first,
        }

    async def test_range_is_by_prefix_in_key_order(self, engine: Engine) -> None:
        keys = ["b/2", "a/9", "b/10", "b/1", "c", "b", "b\x7f", "bé/ü"]
        await engine.store.commit(Transaction(operations=tuple(Write(k, b"") for k in keys)))
        view = await engine.store.range("b")
        assert [item.key for item in view.items] == sorted(k for k in keys if k.startswith("b"))
        assert [item.key for item in (await engine.store.range("b/")).items] == [
            "b/1",
            "b/10",
            "b/2",
        ]

    async def test_values_are_bytes_of_any_kind(self, engine: Engine) -> None:
        value = bytes(range(256)) * 64
        await engine.store.commit(Transaction(operations=(Write("a", value), Write("b", b""))))
        stored = await engine.store.get("a")
        assert stored is not None
        assert stored.value == value
        empty = await engine.store.get("b")
        assert empty is not None
        assert empty.value == b""

    async def test_deleting_the_absent_succeeds_and_makes_no_revision(self, engine: Engine) -> None:
        revision = await put(engine.store, a="1")
        assert await engine.store.commit(Transaction(operations=(Delete("zz"),))) == revision
        assert await engine.store.commit(Transaction(operations=(Delete("a"),))) == revision + 1
        assert await engine.store.get("a") is None

    async def test_a_key_is_operated_on_once(self, engine: Engine) -> None:
        with pytest.raises(ValueError, match="twice"):
            Transaction(operations=(Write("a", b""), Delete("a")))
        assert await engine.store.get("a") is None

    # --- compares -----------------------------------------------------------------------------

    async def test_absent_wins_once(self, engine: Engine) -> None:
        claim = Transaction(compares=(absent("a"),), operations=(Write("a", b"mine"),))
        await engine.store.commit(claim)
        with pytest.raises(contract.Lost) as caught:
            await engine.store.commit(claim)
        assert caught.value.key == "a"

    async def test_unchanged_holds_for_the_newest_revision_only(self, engine: Engine) -> None:
        first = await put(engine.store, a="1")
        change = (Write("a", b"2"),)
        second = await engine.store.commit(
            Transaction(compares=(Unchanged("a", first),), operations=change)
        )
        with pytest.raises(contract.Lost):
            await engine.store.commit(
                Transaction(compares=(Unchanged("a", first),), operations=change)
            )
        await engine.store.commit(
            Transaction(compares=(Unchanged("a", second),), operations=change)
        )

    async def test_unchanged_is_lost_when_the_key_is_gone(self, engine: Engine) -> None:
        first = await put(engine.store, a="1")
        await engine.store.commit(Transaction(operations=(Delete("a"),)))
        with pytest.raises(contract.Lost):
            await engine.store.commit(
                Transaction(compares=(Unchanged("a", first),), operations=(Write("b", b""),))
            )

    async def test_empty_range_is_lost_while_a_key_is_below(self, engine: Engine) -> None:
        await put(engine.store, net="n", **{"eps/net/1": "e"})
        remove = Transaction(compares=(EmptyRange("eps/net/"),), operations=(Delete("net"),))
        with pytest.raises(contract.Lost) as caught:
            await engine.store.commit(remove)
        assert caught.value.key == "eps/net/"
        await engine.store.commit(Transaction(operations=(Delete("eps/net/1"),)))
        await put(engine.store, **{"eps/network2/1": "e"})
        await engine.store.commit(remove)
        assert await engine.store.get("net") is None

    async def test_a_lost_transaction_changes_nothing(self, engine: Engine) -> None:
        before = await put(engine.store, a="1", b="2")
        with pytest.raises(contract.Lost):
            await engine.store.commit(
                Transaction(
                    compares=(absent("c"), absent("b")),
                    operations=(Write("c", b"3"), Delete("a")),
                )
            )
        view = await engine.store.range("")
        assert view.revision == before
        assert [item.key for item in view.items] == ["a", "b"]

    async def test_of_many_claims_of_one_key_one_wins(self, engine: Engine) -> None:
        async def claim(who: int) -> bool:
            value = str(who).encode()
            try:
                await engine.store.commit(
                    Transaction(compares=(absent("k"),), operations=(Write("k", value),))
                )
            except contract.Lost:
                return False
            return True

        results = await asyncio.gather(*(claim(who) for who in range(30)))
        assert results.count(True) == 1
        item = await engine.store.get("k")
        assert item is not None
        assert item.value == str(results.index(True)).encode()

    # --- watches ------------------------------------------------------------------------------

    async def test_a_watch_gives_every_batch_after_a_revision_in_order(
        self, engine: Engine
    ) -> None:
        revisions = [await put(engine.store, a=str(n)) for n in range(5)]
        stream = engine.store.watch("", revisions[1])
        assert [b.revision for b in await take(stream, 3)] == revisions[2:]
        later = await put(engine.store, a="5")
        (batch,) = await take(stream, 1)
        assert batch == contract.Batch(revision=later, operations=(Write("a", b"5"),))

    async def test_a_batch_is_one_transaction(self, engine: Engine) -> None:
        await put(engine.store, a="1")
        revision = await engine.store.commit(
            Transaction(operations=(Write("b", b"2"), Delete("a"), Delete("zz"), Write("c", b"3")))
        )
        (batch,) = await take(engine.store.watch("", ids.Revision(revision - 1)), 1)
        assert batch.operations == (Write("b", b"2"), Delete("a"), Write("c", b"3"))

    async def test_a_watch_sees_only_its_prefix(self, engine: Engine) -> None:
        start = (await engine.store.range("")).revision
        await put(engine.store, **{"x/1": "no"})
        revision = await put(engine.store, **{"x/2": "no", "y/1": "yes"})
        (batch,) = await take(engine.store.watch("y/", start), 1)
        assert batch == contract.Batch(revision=revision, operations=(Write("y/1", b"yes"),))

    async def test_range_and_watch_together_miss_nothing(self, engine: Engine) -> None:
        async def write() -> None:
            for n in range(40):
                await put(engine.store, **{f"k{n}": "v"})

        async with asyncio.TaskGroup() as group:
            group.create_task(write(), name="writer")
            view = await engine.store.range("")
            stream = engine.store.watch("", view.revision)
            seen = {item.key for item in view.items}
            while len(seen) < 40:
                (batch,) = await take(stream, 1)
                keys = {each.key for each in batch.operations}
                assert not keys & seen
                seen |= keys

    async def test_many_watches_see_the_same(self, engine: Engine) -> None:
        start = (await engine.store.range("")).revision
        streams = [engine.store.watch("", start) for _ in range(50)]
        readers = [asyncio.gather(take(stream, 10)) for stream in streams]
        for n in range(10):
            await put(engine.store, a=str(n))
        results = [await reader for reader in readers]
        assert all(result == results[0] for result in results)

    async def test_a_watch_behind_the_compaction_says_so(self, engine: Engine) -> None:
        first = await put(engine.store, a="0")
        for n in range(5):
            newest = await put(engine.store, a=str(n))
        await engine.compact()
        with pytest.raises(contract.Compacted):
            await take(engine.store.watch("", first), 1)
        view = await engine.store.range("")
        assert view.revision == newest
        stream = engine.store.watch("", view.revision)
        later = await put(engine.store, a="9")
        assert [b.revision for b in await take(stream, 1)] == [later]

    async def test_close_ends_watches_and_refuses_the_rest(self, engine: Engine) -> None:
        revision = await put(engine.store, a="1")
        waiting = asyncio.gather(take(engine.store.watch("", revision), 1), return_exceptions=True)
        await asyncio.sleep(0)
        await engine.store.close()
        (ended,) = await waiting
        assert isinstance(ended, StopAsyncIteration)
        with pytest.raises(errors.Unavailable):
            await engine.store.get("a")
        with pytest.raises(errors.Unavailable):
            await put(engine.store, a="2")

    # --- leases -------------------------------------------------------------------------------

    async def test_what_a_lease_holds_vanishes_with_it_in_one_batch(self, engine: Engine) -> None:
        lease = await engine.store.lease(10)
        await put(engine.store, stays="1")
        revision = await engine.store.commit(
            Transaction(operations=(Write("a", b"1", lease), Write("b", b"1", lease)))
        )
        engine.elapse(9)
        assert await engine.store.get("a")
        engine.elapse(2)
        assert await engine.store.get("a") is None
        assert await engine.store.get("stays")
        (batch,) = await take(engine.store.watch("", revision), 1)
        assert batch.operations == (Delete("a"), Delete("b"))

    async def test_keepalive_renews_until_it_is_too_late(self, engine: Engine) -> None:
        lease = await engine.store.lease(10)
        await engine.store.commit(Transaction(operations=(Write("a", b"1", lease),)))
        for _ in range(3):
            engine.elapse(8)
            assert await engine.store.keepalive(lease)
        assert await engine.store.get("a")
        engine.elapse(11)
        assert not await engine.store.keepalive(lease)
        assert await engine.store.get("a") is None

    async def test_a_later_write_without_the_lease_frees_the_key(self, engine: Engine) -> None:
        lease = await engine.store.lease(10)
        await engine.store.commit(Transaction(operations=(Write("a", b"1", lease),)))
        await put(engine.store, a="2")
        engine.elapse(11)
        assert await engine.store.get("a")

    async def test_an_ended_lease_holds_nothing_new(self, engine: Engine) -> None:
        lease = await engine.store.lease(10)
        engine.elapse(11)
        with pytest.raises(errors.Unavailable) as caught:
            await engine.store.commit(Transaction(operations=(Write("a", b"1", lease),)))
        assert caught.value.code == contract.CODE_LEASE
        assert await engine.store.get("a") is None

"""The ring that watches read."""

import asyncio

import pytest

from sdd.model import ids
from sdd.store import contract, log
from sdd.store.contract import Batch, Delete, Write


def batch(revision: int, *keys: str) -> Batch:
    return Batch(revision=ids.Revision(revision), operations=tuple(Delete(key) for key in keys))


async def no_history(after: ids.Revision) -> tuple[Batch, ...]:
    raise contract.Compacted(str(after))


async def test_memory_is_bounded_and_the_rest_comes_from_history() -> None:
    one = log.Log(ids.NEVER, size=2)
    for revision in range(1, 6):
        one.append(batch(revision, "a"))
    assert len(one._ring) == 2
    asked: list[ids.Revision] = []

    async def older(after: ids.Revision) -> tuple[Batch, ...]:
        asked.append(after)
        return tuple(batch(revision, "a") for revision in range(after + 1, 6))

    stream = one.follow("", ids.Revision(1), older)
    assert [(await anext(stream)).revision for _ in range(4)] == [2, 3, 4, 5]
    assert asked == [1]


async def test_a_position_in_the_ring_needs_no_history() -> None:
    one = log.Log(ids.Revision(3), size=2)
    one.append(batch(4, "a"))
    assert (await anext(one.follow("", ids.Revision(3), no_history))).revision == 4
    with pytest.raises(contract.Compacted):
        await anext(one.follow("", ids.Revision(2), no_history))


async def test_close_gives_what_is_there_and_ends() -> None:
    one = log.Log(ids.NEVER)
    one.append(batch(1, "a"))
    one.close()
    assert [each.revision async for each in one.follow("", ids.NEVER, no_history)] == [1]


async def test_an_append_while_a_watch_reads_history_is_not_missed() -> None:
    one = log.Log(ids.Revision(2))

    async def older(after: ids.Revision) -> tuple[Batch, ...]:
        one.append(batch(3, "a"))
        return (batch(after + 1, "a"),) if after < 2 else ()

    stream = one.follow("", ids.Revision(1), older)
    async with asyncio.timeout(60):
        assert [(await anext(stream)).revision for _ in range(2)] == [2, 3]


def test_within_keeps_what_is_below_the_prefix() -> None:
    both = Batch(revision=ids.Revision(1), operations=(Write("a/1", b""), Delete("b/1")))
    assert log.within("", both) is both
    assert log.within("a/", both) == Batch(
        revision=ids.Revision(1), operations=(Write("a/1", b""),)
    )
    assert log.within("c/", both) is None

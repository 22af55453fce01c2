"""The bound on what is under way at once."""

import asyncio

import pytest

from resolver.upstream import gate
from tests.support import LoopClock, turns


async def test_so_many_are_inside_and_the_next_waits_shortly() -> None:
    one = gate.Gate(1, 1)
    assert await one.enter()
    clock = LoopClock(stands=True)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(one.enter(), name="waiting")
        for _ in range(9):
            await turns()
            assert not waiting.done()
            clock.forward(gate.WAIT_S / 9)
    assert not waiting.result()
    one.leave()
    assert one.is_unused
    assert await one.enter()


async def test_a_place_that_becomes_free_in_time_is_taken() -> None:
    one = gate.Gate(1, 1)
    assert await one.enter()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(one.enter(), name="waiting")
        await asyncio.sleep(0)
        one.leave()
    assert waiting.result()
    assert (one.inside, one.is_unused) == (1, False)


async def test_a_full_queue_takes_nobody() -> None:
    one = gate.Gate(1, 1)
    assert await one.enter()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(one.enter(), name="waiting")
        await asyncio.sleep(0)
        assert one.is_full
        with pytest.raises(StopIteration) as told:
            one.enter().send(None)  # it waits for nothing
        assert told.value.value is False
    assert not waiting.result()


async def test_giving_up_leaves_no_trace() -> None:
    one = gate.Gate(1, 1)
    assert await one.enter()
    waiting = asyncio.timeout(0.01)
    try:
        async with waiting:
            await one.enter()
    except TimeoutError:
        pass
    one.leave()
    assert one.is_unused
    assert await one.enter()


async def test_a_place_given_in_the_moment_of_giving_up_is_given_back() -> None:
    one = gate.Gate(1, 2)
    assert await one.enter("s")
    async with asyncio.TaskGroup() as tasks:
        leaver = tasks.create_task(one.enter("s"), name="leaver")
        stayer = tasks.create_task(one.enter("s"), name="stayer")
        await asyncio.sleep(0)
        one.leave("s")
        leaver.cancel()
    assert leaver.cancelled()
    assert stayer.result()
    one.leave("s")
    assert one.is_unused
    assert one.try_enter("s")


async def test_a_free_place_goes_to_whoever_has_the_fewest() -> None:
    one = gate.Gate(3, 100)
    assert await one.enter("calm")
    for _ in range(2):
        assert await one.enter("loud")
    order: list[str] = []

    async def enter(whom: str) -> None:
        if await one.enter(whom):
            order.append(whom)

    async with asyncio.TaskGroup() as tasks:
        for whom in ("loud", "loud", "loud", "calm", "new", "new"):
            tasks.create_task(enter(whom), name=whom)
        await asyncio.sleep(0)
        for _ in range(2):
            one.leave("loud")
        one.leave("calm")
        await asyncio.sleep(0)
    assert order == ["new", "loud", "calm"]
    assert one.inside == 3


async def test_in_a_full_queue_room_is_made_for_whoever_has_less_there() -> None:
    one, clock = gate.Gate(2, 3), LoopClock(stands=True)
    for _ in range(2):
        assert await one.enter("loud")
    given: dict[str, bool] = {}

    async def enter(whom: str, name: str) -> None:
        given[name] = await one.enter(whom)

    async with asyncio.TaskGroup() as tasks:
        for name in ("loud 1", "loud 2", "loud 3"):
            tasks.create_task(enter("loud", name), name=name)
        await asyncio.sleep(0)
        tasks.create_task(enter("calm", "calm"), name="calm")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert given == {"loud 3": False}
        assert not await one.enter("loud")  # it has most of those that wait
        one.leave("loud")
        await asyncio.sleep(0)
        assert given == {"loud 3": False, "calm": True}
        clock.forward(2 * gate.WAIT_S)
    assert given == {"loud 1": False, "loud 2": False, "loud 3": False, "calm": True}
    for whom in ("loud", "calm"):
        one.leave(whom)
    assert one.is_unused


async def test_some_places_are_kept_for_whoever_has_few() -> None:
    one = gate.Gate(20, 0, spare=20)
    for _ in range(20):
        assert one.try_enter("loud")
    assert not one.try_enter("loud")
    assert [one.try_enter("calm") for _ in range(gate.FEW + 1)] == [*[True] * gate.FEW, False]
    assert [one.try_enter("new") for _ in range(5)] == [*[True] * 4, False]
    one.leave("loud")
    assert not one.try_enter("loud")  # those that are kept are in use
    assert one.try_enter("new")


async def test_a_kept_place_that_comes_free_is_for_none_that_has_many() -> None:
    one = gate.Gate(gate.FEW, 9, spare=1)
    for _ in range(gate.FEW):
        assert await one.enter("loud")
    assert await one.enter("calm")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(one.enter("loud"), name="loud")
        await asyncio.sleep(0)
        one.leave("calm")
        await asyncio.sleep(0)
        assert not waiting.done()
        one.leave("loud")
    assert waiting.result()
    assert one.inside == gate.FEW

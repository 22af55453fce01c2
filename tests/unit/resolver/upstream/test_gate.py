"""The bound on what is under way at once."""

import asyncio
import time

from resolver.upstream import gate


async def test_so_many_are_inside_and_the_next_waits_shortly() -> None:
    one = gate.Gate(1, 1)
    assert await one.enter()
    began = time.monotonic()
    assert not await one.enter()
    assert 0.15 < time.monotonic() - began < 1.0
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
        began = time.monotonic()
        assert not await one.enter()
        assert time.monotonic() - began < gate.WAIT_S / 2
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

"""A limit that leaves out what our own loop was late."""

import asyncio

import pytest

from lb import patience
from tests.support import LoopClock, turns


async def test_who_says_nothing_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        async with patience.limit(0.01):
            await asyncio.Event().wait()


async def test_an_answer_that_came_while_we_did_not_run_counts() -> None:
    answers, clock = list[str](), LoopClock()
    async with patience.limit(60):
        clock.forward(200)  # the thing tested: nothing of ours runs
        await turns()  # an answer may take several to be read
        answers.append("here")
    assert answers == ["here"]


async def test_a_loop_that_is_always_late_gives_up_all_the_same() -> None:
    clock = LoopClock()
    begun = clock.now()

    async def late() -> None:
        async with patience.limit(60):
            while clock.now() < begun + 3600:
                clock.forward(24)  # the thing tested
                await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        await late()
    assert clock.now() < begun + 600


async def test_the_bodys_own_errors_pass() -> None:
    with pytest.raises(ValueError, match="no"):
        async with patience.limit(1):
            raise ValueError("no")


async def test_a_cancellation_from_outside_is_none_of_ours() -> None:
    async def body() -> None:
        with pytest.raises(asyncio.CancelledError):
            async with patience.limit(60):
                await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(body(), name="body")
        await asyncio.sleep(0)
        task.cancel()

"""A limit that leaves out what our own loop was late."""

import asyncio
import time

import pytest

from lb import patience


async def test_who_says_nothing_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        async with patience.limit(0.01):
            await asyncio.Event().wait()


async def test_an_answer_that_came_while_we_did_not_run_counts() -> None:
    answers: list[str] = []
    async with patience.limit(0.05):
        time.sleep(0.2)  # noqa: ASYNC251 - the thing tested: nothing of ours runs
        for _ in range(20):  # an answer may take several turns of the loop to be read
            await asyncio.sleep(0)
        answers.append("here")
    assert answers == ["here"]


async def test_a_loop_that_is_always_late_gives_up_all_the_same() -> None:
    begun = time.monotonic()

    async def late() -> None:
        async with patience.limit(0.1):
            while time.monotonic() < begun + 60:
                time.sleep(0.04)  # noqa: ASYNC251 - the thing tested
                await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        await late()


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

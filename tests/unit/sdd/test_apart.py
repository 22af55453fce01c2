"""Work apart: its result, its failure, its end, and nothing else of it."""

import asyncio
from typing import NoReturn

import pytest

from sdd import apart, errors


async def forever(ended: list[str]) -> NoReturn:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        ended.append("ended")
    raise AssertionError


async def test_what_it_returns_and_raises() -> None:
    async def two() -> int:
        return 2

    async def broken() -> int:
        raise OSError("no")

    assert await apart.within(two(), "two") == 2
    with pytest.raises(OSError, match="no"):
        await apart.within(broken(), "broken")


async def test_who_takes_too_long_is_ended_and_named() -> None:
    ended: list[str] = []
    with pytest.raises(errors.Defect) as caught:
        await apart.within(forever(ended), "the pass", 0.01)
    assert caught.value.sentence == "the pass was given up: it did not end within 0.01 s"
    assert caught.value.code == apart.HUNG
    assert ended == ["ended"]


async def test_it_ends_with_whoever_waits_for_it() -> None:
    ended: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(apart.within(forever(ended), "it"), name="waiting")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
    assert waiting.cancelled()
    assert ended == ["ended"]


async def test_a_cancellation_that_nobody_asked_for_is_a_defect() -> None:
    async def stray() -> None:
        raise asyncio.CancelledError

    with pytest.raises(errors.Defect) as caught:
        await apart.within(stray(), "the loop")
    assert caught.value.sentence == "the loop was cancelled, and nobody had asked for it"


async def test_a_failure_in_a_group_leaves_time_outs_as_they_are() -> None:
    async def broken() -> None:
        await asyncio.sleep(0)
        raise OSError

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(broken(), name="broken")

    with pytest.raises(ExceptionGroup):
        await apart.within(group(), "group")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(5)

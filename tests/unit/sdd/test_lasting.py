"""What the machine refuses ends one turn of a loop; what is our mistake ends it for good."""

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from sdd import errors, lasting

NO_ROOM = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
SWARMS = errors.Unavailable("the list changes faster than it is read")
REFUSALS: Sequence[BaseException] = (
    NO_ROOM,
    OSError(errno.ENOBUFS, "no buffer space"),
    SWARMS,
    errors.KernelRefused("no"),
    MemoryError(),
    RuntimeError("can't start new thread"),
    ExceptionGroup("probes", [NO_ROOM, ExceptionGroup("more", [SWARMS])]),
)
MISTAKES: Sequence[Exception] = (
    KeyError("b"),
    RuntimeError("another"),
    errors.Defect("ours"),
    ExceptionGroup("probes", [NO_ROOM, KeyError("b")]),
)


class Loop:
    """Raises what it is given, in that order, then goes on for ever."""

    def __init__(self, *raised: BaseException) -> None:
        self.left = list(raised)
        self.goes_on = asyncio.Event()
        self.missed = 0

    async def begin(self) -> NoReturn:
        if self.left:
            raise self.left.pop(0)
        self.goes_on.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    def miss(self) -> None:
        self.missed += 1

    async def lasts(self, pause_s: Callable[[int], float] = lambda _: 0.0) -> None:
        async with asyncio.TaskGroup() as group:
            going = group.create_task(
                lasting.run(self.begin, "cables", self.miss, pause_s), name="cables"
            )
            async with asyncio.timeout(60):
                await self.goes_on.wait()
            going.cancel()


@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
async def test_what_the_machine_refuses_is_begun_anew(refusal: BaseException) -> None:
    one = Loop(refusal, refusal)
    await one.lasts()
    assert one.missed == 2


@pytest.mark.parametrize("mistake", MISTAKES, ids=repr)
async def test_a_mistake_of_ours_is_raised(mistake: Exception) -> None:
    with pytest.raises(type(mistake)):
        await lasting.run(Loop(mistake).begin, "cables")


async def test_a_loop_that_ends_is_a_mistake() -> None:
    def ending() -> Coroutine[Any, Any, None]:
        return asyncio.sleep(0)

    with pytest.raises(errors.Defect, match="cables ended"):
        await lasting.run(ending, "cables")


async def test_each_reason_is_told_once_in_a_row_and_pauses_grow() -> None:
    one, pauses = Loop(NO_ROOM, NO_ROOM, SWARMS, SWARMS, NO_ROOM, MemoryError()), list[int]()

    def pause_s(failed: int) -> float:
        pauses.append(failed)
        return 0.0

    with capture_logs() as lines:
        await one.lasts(pause_s)
    assert [each["why"] for each in lines] == [
        "too many open files [SDD-EXHAUSTED]",
        str(SWARMS),
        "too many open files [SDD-EXHAUSTED]",
        "cannot allocate memory [SDD-EXHAUSTED]",
    ]
    assert {each["loop"] for each in lines} == {"cables"}
    assert pauses == [1, 2, 3, 4, 5, 6]


async def test_who_was_calm_for_long_begins_as_if_for_the_first_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lasting, "CALM_S", -1.0)
    pauses: list[int] = []

    def pause_s(failed: int) -> float:
        pauses.append(failed)
        return 0.0

    with capture_logs() as lines:
        await Loop(NO_ROOM, NO_ROOM).lasts(pause_s)
    assert (pauses, len(lines)) == ([1, 1], 2)

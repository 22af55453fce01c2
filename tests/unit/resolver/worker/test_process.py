"""What the worker leaves behind when it stops amid questions."""

import asyncio
import inspect
import socket

import pytest

from resolver.listen import selector
from resolver.worker import linger, process
from sdd.defects import Defects


async def test_work_that_never_began_is_closed_without_a_word() -> None:
    control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    hot = selector.Selector()
    begun = False

    async def work() -> None:
        nonlocal begun
        begun = True

    def leave() -> None:
        raise AssertionError("it was never alone for a minute")

    async def stopped() -> None:
        async with asyncio.TaskGroup() as tasks:
            one = process.Worker(
                control, tasks, linger.Door(None), leave, 60, hot=hot, faults=Defects()
            )
            one._spawn(asked)
            one.close()
            one._spawn(late)  # of a time-out that comes while all else is cancelled
            raise RuntimeError("stopped")

    asked, late = work(), work()
    with other, pytest.raises(ExceptionGroup):
        await stopped()
    assert (begun, inspect.getcoroutinestate(asked)) == (False, inspect.CORO_CLOSED)
    assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED


async def test_a_defect_of_a_question_is_counted_and_told_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It ends no group: the questions of all others are in it."""
    control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    async def broken() -> None:
        raise ZeroDivisionError

    def leave() -> None:
        raise AssertionError("it was never alone for a minute")

    with other:
        async with asyncio.TaskGroup() as tasks:
            faults = Defects()
            hot = selector.Selector(faults)
            one = process.Worker(
                control, tasks, linger.Door(None), leave, 60, hot=hot, faults=faults
            )
            for _ in range(3):
                one._spawn(broken())
            await asyncio.sleep(0)
            one.close()
    sums = {tuple(key): value for key, value in one._counted().sums}
    assert sums["sdd_dns_defects_total", "question"] == 3
    assert sums["sdd_dns_dropped_total", "defect"] == 3
    assert capfd.readouterr().err.count("Traceback") == 1

"""Who waits for work that hangs hears so in time; what it raises is raised where it is waited for."""

import threading
import time

import pytest

from resolver.files import errand
from sdd import errors, fence

SHORT_S = 0.02


def test_what_the_work_returns_or_raises_is_heard() -> None:
    assert errand.Errand(lambda: 7, "a file").wait() == 7

    def refused() -> int:
        raise errors.KernelRefused("no")

    with pytest.raises(errors.KernelRefused, match="no"):
        errand.Errand(refused, "a file").wait()


def test_several_that_hang_are_waited_for_at_once() -> None:
    mended = threading.Event()
    every = [
        errand.Errand(lambda: mended.wait(10), f"file {each}", patience_s=0.2) for each in range(10)
    ]
    begun = time.monotonic()
    for each, one in enumerate(every):
        with pytest.raises(errand.Hangs, match=f"file {each} hangs") as caught:
            one.wait()
        assert caught.value.code == "SDD-FILES-HANGS"
    assert time.monotonic() - begun < 1
    mended.set()


def test_who_does_not_follow_the_stuck_says_the_same_at_once() -> None:
    def stuck() -> int:
        raise TimeoutError("others are stuck there")

    with pytest.raises(errand.Hangs):
        errand.Errand(stuck, "a file", patience_s=10).wait()


def test_work_is_of_the_pass_that_began_it() -> None:
    between, mended = fence.Fence(), threading.Event()
    ended: list[bool] = []

    def late() -> bool:
        mended.wait(10)
        fence.check()
        ended.append(True)
        return True

    with between.term():
        one = errand.Errand(late, "a file", patience_s=SHORT_S)
        with pytest.raises(errand.Hangs):
            one.wait()
    mended.set()
    one._until = time.monotonic() + 10
    with pytest.raises(errors.Unavailable, match="given up"):
        one.wait()
    assert ended == []


def test_no_more_are_under_way_at_once_than_may_be() -> None:
    lots = list(errand.lots(range(2 * errand.AT_ONCE + 1)))
    assert list(map(len, lots)) == [errand.AT_ONCE, errand.AT_ONCE, 1]

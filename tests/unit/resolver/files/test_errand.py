"""Who waits for work that hangs hears so in time; what it raises is raised where it is waited for."""

import threading

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


class Hand:
    """A clock put forward by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_several_that_hang_are_waited_for_at_once() -> None:
    mended, clock = threading.Event(), Hand()
    patience = errand.Patience(60, clock)
    every = [errand.Errand(lambda: mended.wait(60), f"file {each}", patience) for each in range(10)]
    clock.now += 60
    for each, one in enumerate(every):
        with pytest.raises(errand.Hangs, match=f"file {each} hangs") as caught:
            one.wait()  # at once: the first has taken all
        assert caught.value.code == "SDD-FILES-HANGS"
    mended.set()


def test_who_was_stopped_waits_once_more_for_all_of_a_lot_together() -> None:
    clock = Hand()
    patience = errand.Patience(2, clock)
    clock.now += 1.5
    assert patience.left_s() == 0.5
    clock.now += 0.75
    assert patience.left_s() == 0  # that late is a busy machine
    clock.now += 3
    assert patience.left_s() == 2
    clock.now += 1.5
    assert patience.left_s() == 0.5
    clock.now += 10
    assert patience.left_s() == 0


def test_what_was_late_with_whoever_waits_is_heard() -> None:
    clock, made = Hand(), threading.Event()
    patience = errand.Patience(60, clock)
    every = [errand.Errand(lambda: made.wait(60), "a file", patience) for _ in range(3)]
    clock.now += 63  # all were stopped
    made.set()
    assert all(one.wait() for one in every)


def test_who_does_not_follow_the_stuck_says_the_same_at_once() -> None:
    def stuck() -> int:
        raise TimeoutError("others are stuck there")

    with pytest.raises(errand.Hangs):
        errand.Errand(stuck, "a file").wait()


def test_work_is_of_the_pass_that_began_it() -> None:
    between, mended = fence.Fence(), threading.Event()
    ended: list[bool] = []

    def late() -> bool:
        mended.wait(10)
        fence.check()
        ended.append(True)
        return True

    with between.term():
        one = errand.Errand(late, "a file", errand.Patience(SHORT_S))
        with pytest.raises(errand.Hangs):
            one.wait()
    mended.set()
    one._patience = errand.Patience(60)
    with pytest.raises(errors.Unavailable, match="given up"):
        one.wait()
    assert ended == []


def test_no_more_are_under_way_at_once_than_may_be() -> None:
    lots = list(errand.lots(range(2 * errand.AT_ONCE + 1)))
    assert list(map(len, lots)) == [errand.AT_ONCE, errand.AT_ONCE, 1]

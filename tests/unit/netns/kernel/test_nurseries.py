"""When a namespace has lost its name, and when nobody can tell yet."""

from netns.kernel.nurseries import DOUBT_S, Nurseries

OURS, GUEST = "/run/sdd/netns/a", "/run/other/b"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_ours_is_lost_at_once_and_told_once() -> None:
    one = Nurseries(Clock())
    assert one.take_lost(), "before it there was another, maybe"
    one.enter(OURS, 7)
    one.see(OURS, 7, is_guest=False)
    assert not one.take_lost()
    one.see(OURS, 0, is_guest=False)
    assert (one.is_sure(), one.take_lost(), one.take_lost()) == (True, True, False)
    assert one.paths() == frozenset()


def test_a_guest_that_is_missing_for_a_moment_is_not_lost() -> None:
    clock = Clock()
    one = Nurseries(clock)
    one.enter(GUEST, 7)
    one.see(GUEST, 0, is_guest=True)
    assert not one.is_sure()
    assert one.paths() == {GUEST}
    one.see(GUEST, 7, is_guest=True)
    assert one.is_sure()
    assert one.paths() == {GUEST}


def test_a_guest_that_stays_away_is_lost_in_the_end_and_another_one_at_once() -> None:
    clock = Clock()
    one = Nurseries(clock)
    one.enter(GUEST, 7)
    one.see(GUEST, 0, is_guest=True)
    clock.now = DOUBT_S
    assert one.is_sure()
    assert one.take_lost()
    assert one.paths() == frozenset()
    one.enter(GUEST, 8)
    one.see(GUEST, 9, is_guest=True)
    assert (one.is_sure(), one.take_lost()) == (True, True)


def test_a_guest_that_a_former_process_knew_is_waited_for_too() -> None:
    clock = Clock()
    one = Nurseries(clock)
    one.recall({GUEST: 7})
    assert not one.is_sure()
    clock.now = DOUBT_S / 2
    one.recall({GUEST: 7})
    one.see(GUEST, 0, is_guest=True)
    assert not one.is_sure()
    clock.now = DOUBT_S
    assert one.is_sure()
    assert one.take_lost()
    one.recall({GUEST: 7})
    one.see(GUEST, 7, is_guest=True)
    assert one.is_sure()
    assert not one.take_lost()


def test_what_goes_by_our_own_hand_is_no_news() -> None:
    one = Nurseries(Clock())
    one.take_lost()
    one.enter(OURS, 7)
    one.leave(OURS)
    one.see(OURS, 0, is_guest=False)
    assert not one.take_lost()

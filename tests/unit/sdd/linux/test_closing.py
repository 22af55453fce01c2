"""Who hands something over to be closed goes on at once; it is closed once, in order."""

import threading

from sdd.linux.closing import MOST, Closer
from tests import support


def test_all_is_closed_in_order_by_another_thread() -> None:
    closed: list[tuple[int, str]] = []
    gate, ended = threading.Event(), threading.Event()
    closer = Closer(later_s=0.01)
    closer.later(lambda: gate.wait(60))
    for number in range(3):
        closer.later(lambda at=number: closed.append((at, threading.current_thread().name)))  # type: ignore[misc]  # a lambda's default
    assert closed == []
    gate.set()
    closer.later(ended.set)
    assert ended.wait(60)
    assert closed == [(0, "closing"), (1, "closing"), (2, "closing")]


def test_one_thread_serves_all() -> None:
    before = set(threading.enumerate())
    closer = Closer(later_s=0.0)
    for _ in range(2):
        ended = threading.Event()
        closer.later(ended.set)
        assert ended.wait(60)
    new = set(threading.enumerate()) - before
    assert [each.name for each in new] == ["closing"]


def test_no_more_than_a_bound_of_them_wait() -> None:
    closed, gate = list[str](), threading.Event()
    closer = Closer(later_s=0.0)
    closer.later(lambda: gate.wait(60))  # until then none of the others is taken
    for _ in range(2 * MOST):
        closer.later(lambda: closed.append(threading.current_thread().name))
    own = threading.current_thread().name
    assert MOST <= closed.count(own) <= MOST + 1
    gate.set()
    support.eventually(lambda: len(closed) == 2 * MOST, 60, "all are closed")
    assert closed.count("closing") == 2 * MOST - closed.count(own)

"""What some work costs of processors: its own, and what threads do inside namespaces for it.

In: a task that asks (`counted`), and whoever hands work of it to a thread (`charged`). Out:
seconds of CPU of just that. The clock of the process would count all other work as well.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


class Cost:
    """`seconds` of CPU so far."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """What happens inside, in this thread, is charged; nothing may be awaited meanwhile."""
        begun = time.thread_time()
        try:
            yield
        finally:
            self.seconds += time.thread_time() - begun


_COST: ContextVar[Cost | None] = ContextVar("cost", default=None)


@contextlib.contextmanager
def counted() -> Iterator[Cost]:
    """Whatever this task hands to threads from now on is charged to it."""
    cost = Cost()
    before = _COST.set(cost)
    try:
        yield cost
    finally:
        _COST.reset(before)


def charged(work: Callable[[], T]) -> Callable[[], T]:
    """`work` for another thread, charged to the task that hands it over, if that is counted."""
    cost = _COST.get()
    if cost is None:
        return work

    def run() -> T:
        with cost.here():
            return work()

    return run

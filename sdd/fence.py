"""What a pass that was given up still has under way writes nothing any more.

A thread cannot be ended: one that hangs in a pass goes on when what it waited for is there, while
the next pass is at work or long done. So each pass of a backend has a *term*, which goes with its
tasks and into the threads that work for it. Whoever writes asks for the term first, and batches are
short. In: terms that begin and end. Out: `errors.Unavailable` for who writes out of term.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Final, TypeVar

from sdd import errors

T = TypeVar("T")
STALE: Final = "SDD-BACKEND-STALE"
PATIENCE_S: Final = 1.0  # for a batch that was on its way when its term ended
KERNEL: Final = "the kernel's tables"


class _Term:
    """From the beginning of one pass to its end; those `before` it that still write lead to it."""

    def __init__(self, before: "_Term | None") -> None:
        self._before = before
        self._moved = threading.Condition()
        self._writing: Counter[str] = Counter()
        self._is_over = False

    def end(self) -> None:
        with self._moved:
            self._is_over = True

    def wait(self, what: str, until: float) -> None:
        """Until nothing of this term and of those before it is being written there."""
        with self._moved:
            left = until - time.monotonic()
            if not self._moved.wait_for(lambda: not self._writing[what], left):
                raise errors.Unavailable(
                    f"a pass that was given up still writes to {what}",
                    hint="it is tried again; if this stays so, restart sdd",
                    code=STALE,
                )
        if self._before is not None:
            self._before.wait(what, until)

    def writing(self) -> "_Term | None":
        """The last term, from this one back, that still writes something."""
        with self._moved:
            if any(self._writing.values()):
                return self
        return None if self._before is None else self._before.writing()

    def check(self) -> None:
        if self._is_over:
            raise errors.Unavailable("this pass was given up, and another one began", code=STALE)

    def enter(self, what: str) -> None:
        if self._before is not None:
            self._before.wait(what, time.monotonic() + PATIENCE_S)
        with self._moved:  # as `end`: what is let in here is seen by the next term
            self.check()
            self._writing[what] += 1

    def leave(self, what: str) -> None:
        with self._moved:
            self._writing[what] -= 1
            self._moved.notify_all()


_TERM: ContextVar[_Term | None] = ContextVar("term", default=None)


class Fence:
    """Between the passes of one backend, of which one is at work at a time."""

    def __init__(self) -> None:
        self._last: _Term | None = None

    @contextlib.contextmanager
    def term(self) -> Iterator[None]:
        """A pass: what this task, and whoever works for it, writes until the end is of it."""
        self._last = term = _Term(None if self._last is None else self._last.writing())
        reset = _TERM.set(term)
        try:
            yield
        finally:
            _TERM.reset(reset)
            term.end()


def check() -> None:
    """Raises `errors.Unavailable` out of term: to be asked when something has blocked."""
    if (term := _TERM.get()) is not None:
        term.check()


def writing(what: str = KERNEL) -> contextlib.AbstractContextManager[None]:
    """Around one batch; raises `errors.Unavailable` out of term, or while another one writes there.

    Whoever is of no pass (a command that looks, a meter) is not asked.
    """
    term = _TERM.get()
    return _NO_PASS if term is None else _Batch(term, what)


class _Batch:
    """One that is being written. A generator would take three times as long."""

    __slots__ = ("_term", "_what")

    def __init__(self, term: _Term, what: str) -> None:
        self._term = term
        self._what = what

    def __enter__(self) -> None:
        self._term.enter(self._what)

    def __exit__(self, *_: object) -> None:
        self._term.leave(self._what)


_NO_PASS: Final = contextlib.nullcontext()


def carried(work: Callable[[], T]) -> Callable[[], T]:
    """`work` for another thread, in the term of this one."""
    term = _TERM.get()
    if term is None:
        return work

    def run() -> T:
        reset = _TERM.set(term)
        try:
            term.check()
            done = work()
            term.check()
            return done
        finally:
            _TERM.reset(reset)

    return run

"""Work on a file that others gave, each piece in a thread of its own: the file system may hang.

In: work, and whose. Out: what it returns or raises, `Hangs` when nothing is heard in time. A thread
that is stuck is lost until the file system answers, and nobody waits for it, nor the end of the
loop's executor. Whoever gives work sees to it that nobody else follows to where one is stuck
(`sdd.linux.walk`), and that it writes nothing any more when its pass is over (`fence.check`).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Final, Generic, TypeVar

from sdd import errors, fence, lacks
from sdd.linux import lookups

T = TypeVar("T")
CODE: Final = "SDD-FILES-HANGS"
PATIENCE_S: Final = 2.0  # a file takes less than a millisecond; what hangs is looked at again
AT_ONCE: Final = 64  # threads


class Hangs(errors.Unavailable):
    """Nobody can tell what a file says."""


class Patience:
    """How long those are waited for that begin now: once more where who waits was stopped.

    What he waited for was stopped as well.
    """

    def __init__(
        self, patience_s: float = PATIENCE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.all_s = patience_s
        self._clock = clock
        self._until = clock() + patience_s
        self._is_first = True

    def left_s(self) -> float:
        """From now on; 0 when it is over."""
        now = self._clock()
        if self._is_first and self._until < now - lookups.LATE_S:
            self._is_first, self._until = False, now + self.all_s
        return max(0.0, self._until - now)


class Errand(Generic[T]):
    """It is under way from the beginning; those of a lot are waited for with one patience."""

    def __init__(self, work: Callable[[], T], whose: str, patience: Patience | None = None) -> None:
        self._whose = whose
        self._patience = patience or Patience()
        self._made: futures.Future[T] = futures.Future()
        thread = threading.Thread(
            target=self._work, args=(fence.carried(work),), name="file", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as exc:
            self._made.set_exception(lacks.told(exc) or exc)

    def wait(self) -> T:
        """What the work returns or raises. A `TimeoutError`, of others or its own, is `Hangs`."""
        try:
            while not self._made.done() and (left_s := self._patience.left_s()):
                with contextlib.suppress(TimeoutError):
                    return self._made.result(left_s)
            return self._made.result(0)
        except TimeoutError:
            raise Hangs(
                f"{self._whose} hangs: a look at it takes more than {self._patience.all_s:g} s",
                hint="a file system on the way does not answer; mend or unmount it",
                code=CODE,
            ) from None

    def _work(self, work: Callable[[], T]) -> None:
        try:
            made = work()
        except (errors.SddError, OSError, ValueError) as exc:  # raised where it is waited for
            self._made.set_exception(exc)
        except BaseException as exc:
            self._made.set_exception(exc)
            raise
        else:
            self._made.set_result(made)


def lots(every: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as may be under way at once."""
    for first in range(0, len(every), AT_ONCE):
        yield every[first : first + AT_ONCE]

"""A clock that a test can read and hold, and that stands while its process is kept from running.

In: a file for both, a module's name and its arguments, on the command line. Out: that program. For
it a machine that stood for seconds was quick: who asks and who is asked stood together. Only the
clocks that measure time are so; what time it is remains what it is.
"""

import mmap
import runpy
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

from tests.support import eventually

LOOK_S = 0.02
MOST_S = 0.2  # of a span between two looks: no wait of a server is over by one
HANGS_S = 60.0
_NOW, _LIMIT, _RATE = range(3)


def _shared(path: Path) -> "memoryview[float]":
    """What the clock shows, what it does not go beyond, and how fast it goes."""
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 24)).cast("d")


class Clock:
    """Seconds, of a program that looks at it every `LOOK_S`: a longer span counts as a short one."""

    def __init__(
        self, real: Callable[[], float], shared: "memoryview[float] | list[float] | None" = None
    ) -> None:
        self._shared = [0.0, inf, 1.0] if shared is None else shared
        self._real = real
        self._turn = threading.Lock()
        self._last = self._shared[_NOW] = real()

    def __call__(self) -> float:
        with self._turn:
            now, shown = self._real(), self._shared[_NOW]
            passed = min(max(0.0, now - self._last), MOST_S) * self._shared[_RATE]
            self._last = now
            shown = max(shown, min(shown + passed, self._shared[_LIMIT]))
            self._shared[_NOW] = shown
            return shown

    def look(self) -> None:
        """For ever."""
        while True:
            self()
            time.sleep(LOOK_S)


class Seen:
    """The clock of such a program, as whoever starts it with `path` sees it."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(24))
        self.path = path
        self._shared = _shared(path)
        self._shared[_LIMIT], self._shared[_RATE] = inf, 1.0

    @property
    def now(self) -> float:
        return self._shared[_NOW]

    @contextmanager
    def held(self, most_s: float = 0.0) -> Iterator[None]:
        """Meanwhile it goes on for so long and then stands: longer waits end when the block does."""
        self._shared[_LIMIT] = self.now + most_s
        try:
            yield
        finally:
            self._shared[_LIMIT] = inf

    @contextmanager
    def slowed(self, times: int) -> Iterator[None]:
        """Meanwhile it goes so many times slower: for what cannot do without timers, as QUIC."""
        self._shared[_RATE] = 1 / times
        try:
            yield
        finally:
            self._shared[_RATE] = 1.0

    def end(self) -> None:
        """Of a program that is no more everything is over, also for who waits in a thread."""
        self._shared[_NOW] = inf

    def passes(self, seconds: float) -> None:
        """Returns when it has gone on for so long."""
        until = self.now + seconds
        eventually(lambda: self.now >= until, HANGS_S, f"the program's {seconds} s are over")


def main() -> None:
    """Be the program that the arguments name."""
    path, program = Path(sys.argv[1]), sys.argv[2]
    measured: Any = time
    clock, real = Clock(time.monotonic, _shared(path)), time.clock_gettime

    def gettime(which: int) -> float:
        return clock() if which in (time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC) else real(which)

    measured.monotonic, measured.clock_gettime = clock, gettime
    threading.Thread(target=clock.look, daemon=True).start()
    del sys.argv[:2]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

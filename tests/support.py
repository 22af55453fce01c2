"""What every kind of test uses: waiting for a condition, running a tool."""

import asyncio
import contextlib
import gc
import itertools
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, cast

from sdd.linux import high

PAUSE_S = 0.01
T = TypeVar("T")


def eventually(condition: Callable[[], object], deadline_s: float, why: str) -> None:
    """Returns as soon as `condition()` is true; fails with `why` after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {why}"
        time.sleep(PAUSE_S)


async def eventually_async(condition: Callable[[], object], deadline_s: float, why: str) -> None:
    """The same for a condition that this event loop brings about."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {why}"
        await asyncio.sleep(PAUSE_S)


class LoopClock:
    """The running loop's clock, which can be put forward: what time brings about comes at once.

    Timers are due then as after a stop of the whole machine. One that `stands` is moved by nothing
    else, so that none is due before, however busy the machine is.
    """

    def __init__(self, *, stands: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self._steady: Callable[[], float] = loop.time
        if stands:
            self._steady = itertools.repeat(loop.time()).__next__
        self._ahead_s = 0.0
        loop.time = self.now  # type: ignore[method-assign]  # for as long as the loop lives

    def now(self) -> float:
        return self._steady() + self._ahead_s

    def forward(self, seconds: float) -> None:
        self._ahead_s += seconds


async def turns(count: int = 20) -> None:
    """So many turns of the running loop: enough for what waits for no time to come about."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(
    *command: str, check: bool = True, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Output captured; a failure shows it, unless `check` is false."""
    done = subprocess.run(
        command,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} → {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def work_of(doing: Callable[[], object]) -> int:
    """How many calls of functions `doing` makes on this thread: the same on any machine."""
    calls = 0

    def count(_frame: object, what: str, _arg: object) -> None:
        nonlocal calls
        calls += what in ("call", "c_call")

    gc.collect()
    gc.disable()  # what others have dropped would be counted, in whose turn it is collected
    sys.setprofile(count)
    try:
        doing()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


@contextlib.contextmanager
def room_for(count: int) -> Iterator[None]:
    """This process may open `count` files more, and none beyond."""
    gc.collect()  # what others have dropped would make room meanwhile
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers = [os.open(os.devnull, os.O_RDONLY)]
    # Those that are held for long have numbers from 1024 on, and stay.
    low = [
        int(each.name) for each in Path("/proc/self/fd").iterdir() if int(each.name) < high.FIRST
    ]
    while fillers[-1] < max(low):
        fillers.append(os.dup(fillers[0]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1 + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in fillers:
            os.close(each)


def at_once(doing: Callable[[], T]) -> T:
    """What `doing` returns or raises; fails when it waits, as for who writes into a pipe."""
    ended: list[tuple[T | None, BaseException | None]] = []

    def work() -> None:
        try:
            ended.append((doing(), None))
        except BaseException as exc:  # noqa: BLE001 - raised again by whoever asked
            ended.append((None, exc))

    thread = threading.Thread(target=work, daemon=True)  # one that waits for ever ends with us
    thread.start()
    thread.join(60)
    assert ended, "it waits for something"
    found, raised = ended[0]
    if raised is not None:
        raise raised
    return cast("T", found)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files grow to `size` bytes and no further: a write takes what fits, the next is EFBIG."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))

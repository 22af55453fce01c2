"""What every kind of test uses: waiting for a condition, running a tool."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable

PAUSE_S = 0.01


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

    sys.setprofile(count)
    try:
        doing()
    finally:
        sys.setprofile(None)
    return calls

"""The end of a worker's process: seen, or brought about.

In: a pid and what the process must look like. Out: whether it is over. Whatever is no worker is
left alone, whichever number it has.
"""

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

COMMAND: Final = b"sdd-dns"  # as a service manager starts it
LEAVE_S: Final = 1.0  # how long a worker may take to end when told: it has nothing to put in order
GRACE_S: Final = 0.5  # and when it hung up by itself


GENTLY: Final = (signal.SIGTERM, signal.SIGKILL)
AT_ONCE: Final = (signal.SIGKILL,)  # for one that hangs: it would not hear anything else


class Hold:
    """The process `pid` by a descriptor, which names it until its end, whatever it calls itself.

    To be made of whom the kernel named as the sender of a message. Our own process is never held.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._process = -1
        if pid != os.getpid():
            with contextlib.suppress(OSError):  # it is over
                self._process = os.pidfd_open(pid)

    async def end(self) -> bool:
        """Kill it and wait for it; whether it lived until then."""
        if self._process < 0 or _ended(self._process, 0):
            return False
        return await _end(self._process, AT_ONCE)

    def close(self) -> None:
        """Let go of it. Closing twice is fine."""
        if self._process >= 0:
            os.close(self._process)
            self._process = -1


async def dismiss(pid: int, module: str, how: Sequence[signal.Signals] = GENTLY) -> bool:
    """End the worker `pid` and wait for it; whether it was one, and ended."""
    with _opened(pid) as process:
        # After opening: the descriptor names one process for ever, so this looks at the right one.
        if process < 0 or pid == os.getpid() or not _is_worker(pid, module):
            return False
        return await _end(process, how)


def is_of(pid: int, module: str) -> bool:
    """Whether an sdd started `pid` as a worker, so that its socket's file is sdd's too."""
    return module.encode() in _arguments(pid)


async def is_over(pid: int) -> bool:
    """Whether `pid` has ended, or does so within `GRACE_S`."""
    with _opened(pid) as process:
        return process < 0 or await asyncio.to_thread(_ended, process, GRACE_S)


async def end_child(pid: int) -> None:
    """End our own child, after the moment that it needs when it is ending by itself."""
    with _opened(pid) as process:
        if process >= 0 and not await asyncio.to_thread(_ended, process, GRACE_S):
            await _end(process, GENTLY)


async def _end(process: int, how: Sequence[signal.Signals]) -> bool:
    for signum in how:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signum)
        if await asyncio.to_thread(_ended, process, LEAVE_S):
            return True
    return False


@contextlib.contextmanager
def _opened(pid: int) -> Iterator[int]:
    """A descriptor of the process (pidfd_open(2)); -1 when there is none."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        yield -1
        return
    try:
        yield process
    finally:
        os.close(process)


def _ended(process: int, timeout_s: float) -> bool:
    poll = select.poll()  # select(2) knows no descriptor above 1023
    poll.register(process, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _is_worker(pid: int, module: str) -> bool:
    return is_of(pid, module) or COMMAND in (each.rpartition(b"/")[2] for each in _arguments(pid))


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []

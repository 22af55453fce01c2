"""What the machine lacks or refuses for now, and what is a mistake of ours.

In: an exception, or a group of them. Out: the error to tell of it, or None where nobody foresaw it.
Pure.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from sdd import errors

HINTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EMFILE: "raise the limit of open files of the daemon (LimitNOFILE, ulimit -n)",
        errno.ENFILE: "raise the limit of open files of the system (sysctl fs.file-max)",
        errno.ENOMEM: "free some memory, or raise the daemon's limit",
        errno.ENOBUFS: "something floods the kernel's sockets; it is tried again",
        errno.ENOSPC: "free some disk space",
    }
)
_NO_THREAD: Final = "can't start new thread"  # a limit of tasks; Python has no class for it
_FORESEEN: Final = (errors.Unavailable, errors.Exhausted, errors.KernelRefused, errors.Denied)


def told(exc: BaseException) -> errors.SddError | None:
    """The first error of `exc` if each of them is what the machine lacks; None otherwise."""
    found = [_told(each) for each in leaves(exc)]
    return None if None in found else found[0]


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group and of the groups in it; of any other one itself."""
    if isinstance(exc, BaseExceptionGroup):
        for one in exc.exceptions:
            yield from leaves(one)
    else:
        yield exc


def _told(exc: BaseException) -> errors.SddError | None:
    if isinstance(exc, _FORESEEN):
        return exc
    if isinstance(exc, MemoryError):
        return _exhausted(errno.ENOMEM)
    if isinstance(exc, RuntimeError) and str(exc) == _NO_THREAD:
        return errors.Exhausted(
            "no thread can be started", hint="raise the limit of tasks (TasksMax, ulimit -u)"
        )
    if isinstance(exc, OSError) and exc.errno is not None and exc.errno in HINTS:
        return _exhausted(exc.errno)
    return None


def _exhausted(number: int) -> errors.Exhausted:
    return errors.Exhausted(os.strerror(number).lower(), hint=HINTS[number])

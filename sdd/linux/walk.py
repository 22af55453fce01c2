"""The way to a file, step by step: nobody goes into a file system where others are stuck.

In: a path. Out: the file it leads to, from the thread that walks, which may be stuck itself. What
hangs is a file system, and not a path: however many paths lead into one that does, it keeps a few
threads, and a path that leads around it meanwhile (another link, `umount -l`) is there at once.
"""

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Iterator
from typing import Final, Never

from sdd.linux import dcache

EACH: Final = 4  # threads in one file system: it may be slow, and then others wait outside
_MOST_LINKS: Final = 40  # as the kernel (path_resolution(7))
_HERE: Final = os.O_PATH | os.O_CLOEXEC
_STEP: Final = _HERE | os.O_NOFOLLOW


class Walks:
    """For several threads. `patience_s` after the last step who walks is stuck."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._moved = threading.Condition()
        self._inside: dict[int, dict[int, float]] = {}  # device → who is in it → since when
        self._magic = os.stat("/proc").st_dev  # noqa: PTH116 - its links are followed by the kernel

    def open(self, path: str) -> dcache.Entry:
        """What is there; raises OSError, TimeoutError where others are stuck on the way."""
        at = _entry(os.open("/" if path.startswith("/") else ".", _HERE))
        try:
            todo, links = _names(path), 0
            while todo:
                found = self._next(at, todo.pop(), is_last=not todo)
                if not stat.S_ISLNK(found.known.mode):
                    os.close(at.descriptor)
                    at = found
                    continue
                target = self._target(found)
                todo += _names(target) if (links := links + 1) <= _MOST_LINKS else _in_a_loop(path)
                if target.startswith("/"):
                    os.close(at.descriptor)
                    at = _entry(os.open("/", _HERE))
        except BaseException:
            os.close(at.descriptor)
            raise
        return at

    def _next(self, at: dcache.Entry, name: str, *, is_last: bool) -> dcache.Entry:
        """One step; a link is met as such, and what is mounted when it is entered is mounted."""
        with self.within(at.known.device):
            how = _HERE if at.known.device == self._magic else _STEP
            found = _entry(os.open(name, how, dir_fd=at.descriptor))
            if is_last or not stat.S_ISDIR(found.known.mode):
                return found
            os.close(found.descriptor)
            return _entry(os.open(name, how | os.O_DIRECTORY, dir_fd=at.descriptor))

    def _target(self, link: dcache.Entry) -> str:
        try:
            with self.within(link.known.device):
                return os.readlink("", dir_fd=link.descriptor)
        finally:
            os.close(link.descriptor)

    @contextlib.contextmanager
    def within(self, device: int) -> Iterator[None]:
        """Around a step in a file system; raises TimeoutError instead of following the stuck."""
        me = threading.get_ident()
        with self._moved:
            until = time.monotonic() + self._patience_s
            while not self._has_room(device):
                if not self._moved.wait(until - time.monotonic()):
                    raise TimeoutError("others are stuck there")
            self._inside.setdefault(device, {})[me] = time.monotonic()
        try:
            yield
        finally:
            with self._moved:
                del self._inside[device][me]
                if not self._inside[device]:
                    del self._inside[device]
                self._moved.notify_all()

    def _has_room(self, device: int) -> bool:
        """Raises TimeoutError when somebody is stuck."""
        there = self._inside.get(device, {})
        stuck = time.monotonic() - self._patience_s
        if any(since < stuck for since in there.values()):
            raise TimeoutError("others are stuck there")
        return len(there) < EACH


def _entry(opened: int) -> dcache.Entry:
    try:
        return dcache.Entry(opened, dcache.known(opened))
    except BaseException:
        os.close(opened)
        raise


def _in_a_loop(path: str) -> Never:
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _names(path: str) -> list[str]:
    """The steps, the last one first."""
    return [each for each in reversed(path.split("/")) if each]

"""The way to a file, step by step: nobody goes into a file system where others are stuck.

In: a path. Out: the file it leads to, from the thread that walks, which may be stuck itself. What
hangs is a file system, and not a path: however many paths lead into one that does, it keeps a few
threads, and a path that leads around it meanwhile (another link, `umount -l`) is there at once.
What is mounted somewhere, or only when somebody enters (automount), hangs for itself: nobody is
kept from the file system below it, unless one name after the other hangs there.
"""

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Hashable, Iterator
from typing import Final, Never

from sdd.linux import dcache, libc, openat2

EACH: Final = 4  # threads in one place: it may be slow, and then others wait outside
_MOST_LINKS: Final = 40  # as the kernel (path_resolution(7))
_HERE: Final = os.O_PATH | os.O_CLOEXEC
_STEP: Final = _HERE | os.O_NOFOLLOW
_NOT_OFFERED: Final = frozenset({errno.ENOSYS, errno.EPERM, errno.EAGAIN})  # openat2: Linux 5.6


class Walks:
    """For several threads. `patience_s` after the last step who walks is stuck."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._moved = threading.Condition()
        # Place → who is in it → since when, and after which name.
        self._inside: dict[Hashable, dict[int, tuple[float, Hashable]]] = {}

    def open(self, path: str) -> dcache.Entry:
        """What is there; raises OSError, TimeoutError where others are stuck on the way."""
        at = _entry(os.open("/" if path.startswith("/") else ".", _HERE))
        try:
            todo, links = _names(path), 0
            while todo:
                name = todo.pop()
                found = self._next(at, name, is_last=not todo)
                if stat.S_ISLNK(found.known.mode):
                    led = self._led(at, name, found)
                    if isinstance(led, str):
                        links += 1
                        todo += _names(led) if links <= _MOST_LINKS else _in_a_loop(path)
                        if not led.startswith("/"):
                            continue
                        led = _entry(os.open("/", _HERE))
                    found = led
                os.close(at.descriptor)
                at = found
        except BaseException:
            os.close(at.descriptor)
            raise
        return at

    def _next(self, at: dcache.Entry, name: str, *, is_last: bool) -> dcache.Entry:
        """One step; a link is met as such, and what is mounted when it is entered is mounted."""
        found = self._met(at, name)
        if is_last or not stat.S_ISDIR(found.known.mode):
            return found
        os.close(found.descriptor)
        with self.within((found.known.device, found.known.inode)):
            return _entry(os.open(name, _STEP | os.O_DIRECTORY, dir_fd=at.descriptor))

    def _met(self, at: dcache.Entry, name: str) -> dcache.Entry:
        """What has the name. Whoever is asked for it is charged: `at`, or what is mounted there."""
        try:
            # Before Linux 6.18 this, too, waits for a mount that is under way.
            with self.within(at.known.device, (at.known.inode, name)):
                return _entry(_open_unless_mounted(at.descriptor, name))
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
        with self.within((at.known.device, at.known.inode, name)):
            return _entry(os.open(name, _STEP, dir_fd=at.descriptor))

    def _led(self, at: dcache.Entry, name: str, link: dcache.Entry) -> dcache.Entry | str:
        """What a link says; of one that proc makes up, which says nothing, what it means."""
        try:
            with self.within(link.known.device):
                if not _is_made_up(link):
                    return os.readlink("", dir_fd=link.descriptor)
            with self.within((link.known.device, link.known.inode)):
                return _entry(os.open(name, _HERE, dir_fd=at.descriptor))
        finally:
            os.close(link.descriptor)

    @contextlib.contextmanager
    def within(self, place: Hashable, name: Hashable = None) -> Iterator[None]:
        """Around a step in a place; raises TimeoutError instead of following the stuck.

        A place is a file system (its device), or less: what only one file leads to. Who is stuck
        after a `name` may wait for what is behind it: that alone does not close the place.
        """
        me = threading.get_ident()
        with self._moved:
            until = time.monotonic() + self._patience_s
            while not self._has_room(place, name):
                if not self._moved.wait(until - time.monotonic()):
                    raise TimeoutError("others are stuck there")
            self._inside.setdefault(place, {})[me] = (time.monotonic(), name)
        try:
            yield
        finally:
            with self._moved:
                del self._inside[place][me]
                if not self._inside[place]:
                    del self._inside[place]
                self._moved.notify_all()

    def _has_room(self, place: Hashable, name: Hashable) -> bool:
        """Raises TimeoutError when somebody is stuck."""
        there = self._inside.get(place, {}).values()
        before = time.monotonic() - self._patience_s
        stuck = [each for since, each in there if since < before]
        if {None, name} & set(stuck) or len(set(stuck)) >= EACH:
            raise TimeoutError("others are stuck there")
        return len(there) - len(stuck) < EACH


def _entry(opened: int) -> dcache.Entry:
    try:
        return dcache.Entry(opened, dcache.known(opened))
    except BaseException:
        os.close(opened)
        raise


def _open_unless_mounted(at: int, name: str) -> int:
    """What has the name; raises OSError, EXDEV where something else is mounted on it."""
    try:
        return openat2.openat2(at, name, _STEP, openat2.Resolve.NO_XDEV)
    except OSError as exc:
        if exc.errno not in _NOT_OFFERED:
            raise
    return os.open(name, _STEP, dir_fd=at)


def _is_made_up(link: dcache.Entry) -> bool:
    """Whether proc has the link; each mount of it is a file system of its own (Linux 5.8)."""
    try:
        return libc.kind_of_file_system(link.descriptor) == libc.PROC_SUPER_MAGIC
    except OSError:  # who does not even tell that is not proc
        return False


def _in_a_loop(path: str) -> Never:
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _names(path: str) -> list[str]:
    """The steps, the last one first."""
    return [each for each in reversed(path.split("/")) if each]

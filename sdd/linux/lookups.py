"""Where paths that others gave lead, though what they lead through may hang.

In: a path. Out: the namespace there, or `Hangs` when nothing is heard in time. What the kernel
knows by heart is told at once. Else a thread goes and looks, and no other thread, nor the loop's
executor, is ever lost to a path. Where others are stuck it goes not: who asks again hears at once.
"""

import asyncio
import contextlib
import errno
import functools
import os
import re
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent import futures
from pathlib import Path
from typing import Final

from sdd import errors
from sdd.linux import dcache, walk

CODE: Final = "SDD-NETNS-HANGS"
OWN: Final = "/proc/thread-self/ns/net"
PATIENCE_S: Final = 2.0  # a look takes microseconds; what hangs is looked at again anyway
LATE_S: Final = 0.5  # more than a busy machine keeps who has waited from going on
MOST: Final = 64  # threads: a few for each file system that is away
# Never hang, and some mean what they mean in the thread that asks alone.
_PROC = re.compile(r"/proc/(?:(?:self|thread-self|\d+)/ns/net|self/fd/\d+)")
NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
# Nothing is there. Anything else says no more than that somebody on the way cannot tell: a file
# system whose server is away may end what waited for it with any error.
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESRCH})


class Hangs(errors.Unavailable):
    """Nobody can tell where a path leads: what it leads through hangs, or fails."""


class Found:
    """What a path leads to: a namespace with its `inode`, or something else (0).

    It stays as long as somebody has this, and several may: the last one closes it.
    """

    __slots__ = ("_descriptor", "inode")

    def __init__(self, device: int, inode: int, descriptor: int | OSError) -> None:
        self.inode = inode if device == nsfs() else 0
        self._descriptor = descriptor

    def __del__(self) -> None:
        if isinstance(self._descriptor, int):
            os.close(self._descriptor)

    def opened(self) -> int:
        """A descriptor of the namespace, the caller's; raises OSError."""
        if not isinstance(self._descriptor, int):
            raise self._descriptor
        return os.open(f"/proc/self/fd/{self._descriptor}", os.O_RDONLY | os.O_CLOEXEC)


@functools.cache
def nsfs() -> int:
    """The device number of the kernel's file system of namespaces."""
    return Path(OWN).stat().st_dev


def look(path: str, walks: walk.Walks | None = None) -> Found:
    """What is there, from the calling thread, which may hang; raises OSError."""
    try:
        return _opened(path) if walks is None else _walked(path, walks)
    except OSError as exc:
        if exc.errno not in NO_ROOM:
            raise
        # No descriptor is left. What cannot be opened now is there all the same.
        with walks.within(path) if walks else contextlib.nullcontext():
            there = os.stat(path)  # noqa: PTH116 - it is no more than a number
        return Found(there.st_dev, there.st_ino, exc)


def _opened(path: str) -> Found:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    return _found(dcache.Entry(opened, dcache.known(opened)))


def _walked(path: str, walks: walk.Walks) -> Found:
    """That no namespace is there is what the kernel says: a sandbox may be removed for it."""
    try:
        found = _found(walks.open(path))
    except TimeoutError:
        raise
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise
    else:
        if found.inode:
            return found
    with walks.within(path):
        return _opened(path)


def at_once(path: str) -> Found | None:
    """What is there as far as nobody has to wait for it; raises OSError where nothing is."""
    if _PROC.fullmatch(path):
        return look(path)
    entry = dcache.find(path)
    return None if entry is None else _found(entry)


def _found(entry: dcache.Entry) -> Found:
    return Found(entry.known.device, entry.known.inode, entry.descriptor)


class _Going:
    """A look under way, and until when whoever asks waits for it."""

    def __init__(self, path: str, until: float) -> None:
        self.path = path
        self.until = until
        self.is_waiting = False  # for a thread
        self.found: futures.Future[Found] = futures.Future()
        self.found.set_running_or_notify_cancel()  # who gives it up takes it from nobody else


def _more_s(begun: float, until: float, patience_s: float) -> float:
    """How long who waited from `begun` to `until` waits again: `patience_s` if he was stopped.

    What he waited for was stopped as well.
    """
    return patience_s if begun < until < time.monotonic() - LATE_S else 0.0


class Lookups:
    """For all threads, and event loops."""

    def __init__(
        self,
        ask: Callable[[str], Found] | None = None,
        *,
        at_once: Callable[[str], Found | None] = at_once,
        patience_s: float = PATIENCE_S,
        most: int = MOST,
    ) -> None:
        self._ask = ask or functools.partial(look, walks=walk.Walks(patience_s / 2))
        self._known = at_once
        self._ours: frozenset[str] = frozenset()
        self._patience_s = patience_s
        self._most = most
        self._lock = threading.Lock()
        self._going: dict[str, _Going] = {}
        self._waiting: deque[_Going] = deque()
        self._threads = 0

    def trust(self, folder: Path) -> None:
        """What lies in it is ours and never hangs: each look at it is at once, from now on."""
        self._ours |= {str(folder)}

    def _at_once(self, path: str) -> Found | None:
        # A link in it may lead anywhere.
        if os.path.dirname(path) in self._ours and not stat.S_ISLNK(os.lstat(path).st_mode):  # noqa: PTH120 - of thousands
            return look(path)
        return self._known(path)

    def begin(self, paths: Iterable[str]) -> None:
        """Look for them all at the same time: who asks for one after the other waits once."""
        for path in paths:
            with contextlib.suppress(OSError):
                if self._at_once(path) is None:
                    self._begun(path)

    def find(self, path: str) -> Found:
        """What is there; blocks. Raises OSError where nothing is, `Hangs` when nobody can tell."""
        begun = time.monotonic()
        try:
            if (found := self._at_once(path)) is not None:
                return found
            going = self._begun(path)
            with contextlib.suppress(TimeoutError):
                return going.found.result(max(0.0, going.until - time.monotonic()))
            return going.found.result(_more_s(begun, going.until, self._patience_s))
        except OSError as exc:
            self._doubt(path, exc)
            raise

    async def wait_found(self, path: str) -> Found:
        """As `find`, for an event loop."""
        begun = time.monotonic()
        try:
            if (found := self._at_once(path)) is not None:
                return found
            going = self._begun(path)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(going.until - time.monotonic()):
                    return await asyncio.wrap_future(going.found)
            async with asyncio.timeout(_more_s(begun, going.until, self._patience_s)):
                return await asyncio.wrap_future(going.found)
        except OSError as exc:
            self._doubt(path, exc)
            raise

    def _doubt(self, path: str, exc: OSError) -> None:
        """Raises `Hangs` for what is no proof that nothing is there; TimeoutError is one such."""
        if exc.errno in _ABSENT or exc.errno in NO_ROOM:
            return
        late = f"the look takes more than {self._patience_s:g} s"
        why = late if isinstance(exc, TimeoutError) else os.strerror(exc.errno or 0).lower()
        raise Hangs(
            f"nobody can tell where {path!r} leads: {why}",
            hint="mend what is on the way; a file system that does not answer can be unmounted",
            code=CODE,
        ) from None

    def _begun(self, path: str) -> _Going:
        """The look that is under way; else one that begins, or waits for a thread.

        One that is stuck says nothing of where the path leads now: the next one goes there anew.
        """
        with self._lock:
            now = time.monotonic()
            going = self._going.get(path)
            if going is not None and (now < going.until or going.is_waiting):
                return going
            going = _Going(path, now + self._patience_s)
            if self._threads < self._most:
                # Not of an executor: the end of the process would wait for what hangs.
                threading.Thread(
                    target=self._work, args=(going,), name="lookup", daemon=True
                ).start()
                self._threads += 1
            else:
                going.is_waiting = True
                self._waiting.append(going)
            self._going[path] = going
            return going

    def _work(self, first: _Going) -> None:
        going: _Going | None = first
        while going is not None:
            try:
                found: Found | Exception = self._ask(going.path)
            except (OSError, ValueError) as exc:  # raised where it was asked for
                found = exc
            ended = going
            with self._lock:
                if self._going.get(ended.path) is ended:
                    del self._going[ended.path]
                going = self._waiting.popleft() if self._waiting else None
                if going is None:
                    self._threads -= 1
                else:
                    going.is_waiting = False
            if isinstance(found, Exception):
                ended.found.set_exception(found)
            else:
                ended.found.set_result(found)
            del found, ended  # not held while the next one is looked for


ALL: Final = Lookups()  # what hangs, hangs for the whole process

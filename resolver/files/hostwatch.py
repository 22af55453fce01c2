"""Tells when the host's resolv.conf changes: rewritten, renamed over, or led to by other links.

In: the files that were read. Out: calls. Every name on the way to a file, and to what its symlinks
lead to, is watched in its folder (inotify(7)): an edit is most often a rename, and a folder that
is not there yet appears in one that is. A file is watched itself too: one that is mounted over
another, as in containers, is written in a folder that is not here. What inotify cannot see, or a
host that has no instance of it left, is covered by looking every now and then.
"""

import asyncio
import ctypes
import os
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Never

SETTLE_S: Final = 0.1  # a rename comes as several events, and DHCP clients write twice
AGAIN_S: Final = 30.0  # a mount over a folder is no event
BLIND_S: Final = (
    2.0  # the same without inotify: fs.inotify.max_user_instances is 128 for all of root
)
MOST_LINKS: Final = 8
_ROOM: Final = 1 << 16
_EVENT: Final = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, size of the name
_EVENTS: Final = 0x2 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400  # include/uapi/linux/inotify.h:
# modify, close after write, moved from, moved to, create, delete, the folder itself deleted
_WRITES: Final = 0x2 | 0x8  # modify, close after write
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK and IN_CLOEXEC are the same numbers


async def follow(
    files: Iterable[Path], changed: Callable[[], None], again_s: float = AGAIN_S
) -> Never:
    """Call `changed` soon after any of `files` may say something else; ends by cancellation.

    It is called at least every `again_s` seconds, so it should tell a change from none.
    """
    watched = tuple(files)
    watch = _Watch(watched)
    try:
        while True:
            if await watch.event(again_s):
                await asyncio.sleep(SETTLE_S)
            # The next watch stands before anybody reads: no change falls between the two.
            older, watch = watch, _Watch(watched)
            older.close()
            changed()
    finally:
        watch.close()


def names(file: Path) -> Iterator[tuple[Path, str]]:
    """Folder and name of all that `file` depends on: each part of its path, and of its links.

    Ends at the first that is not there: when that appears, there is more to watch.
    """
    at, left, links = Path("/"), deque(file.parts[1:]), 0
    while left:
        name = left.popleft()
        if name == "..":
            at = at.parent
            continue
        yield at, name
        here = at / name
        try:
            target = here.readlink()
        except OSError:  # no link, or nothing
            if not here.exists():
                return
            at = here
            continue
        links += 1
        if links > MOST_LINKS:
            return
        at = Path("/") if target.is_absolute() else at
        left.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))


class _Watch:
    """One inotify instance over all folders; made anew after each event, as links may differ."""

    def __init__(self, files: Sequence[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_FLAGS)
        self._names: dict[int, set[bytes]] = {}
        if self._descriptor < 0:
            return
        for folder, name in (each for file in files for each in names(file)):
            watch = libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _EVENTS)
            if watch >= 0:  # the same number for the same folder
                self._names.setdefault(watch, set()).add(os.fsencode(name))
        for file in files:  # its events have no name, which always concerns us
            libc.inotify_add_watch(self._descriptor, os.fsencode(file), _WRITES)

    def close(self) -> None:
        """Watch no longer."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    async def event(self, again_s: float) -> bool:
        """Whether one of the names changed within `again_s`, or sooner where none can be seen."""
        if self._descriptor < 0:
            await asyncio.sleep(min(again_s, BLIND_S))
            return False
        loop = asyncio.get_running_loop()
        happened: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._descriptor, self._read, happened)
        try:
            async with asyncio.timeout(again_s):
                await happened
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._descriptor)
        return True

    def _read(self, happened: "asyncio.Future[None]") -> None:
        data = os.read(self._descriptor, _ROOM)
        if not happened.done() and any(self._concerns(*each) for each in _events(data)):
            happened.set_result(None)

    def _concerns(self, watch: int, name: bytes) -> bool:
        """Events without a name are of the folder itself, or say that some were lost."""
        return not name or name in self._names.get(watch, ())


def _events(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        watch, _, _, size = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield watch, data[at : at + size].rstrip(b"\0")
        at += size

"""Tells when the host's resolv.conf changes: rewritten, renamed over, or a symlink that swaps.

In: the files that were read. Out: calls. The folders of a file and of everything that its symlinks
lead through are watched (inotify(7)), because an edit is most often a rename in one of them.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Never

SETTLE_S: Final = 0.1  # a rename comes as several events, and DHCP clients write twice
MOST_LINKS: Final = 8
_ROOM: Final = 1 << 16
_EVENTS: Final = 0x2 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400  # include/uapi/linux/inotify.h:
# modify, close after write, moved from, moved to, create, delete, the folder itself deleted
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK and IN_CLOEXEC are the same numbers


async def follow(files: Iterable[Path], changed: Callable[[], None]) -> Never:
    """Call `changed` soon after any of `files` may say something else; ends by cancellation."""
    watched = tuple(files)
    watch = _Watch(watched)
    try:
        while True:
            await watch.event()
            await asyncio.sleep(SETTLE_S)
            # The next watch stands before anybody reads: no change falls between the two.
            older, watch = watch, _Watch(watched)
            older.close()
            changed()
    finally:
        watch.close()


def folders(file: Path) -> Iterator[Path]:
    """The folders in which the name `file`, or a link that it leads through, can change."""
    at = file
    for _ in range(MOST_LINKS):
        yield at.parent
        if not at.is_symlink():
            return
        at = at.parent / at.readlink()


class _Watch:
    """One inotify instance over all folders; made anew after each event, as links may differ."""

    def __init__(self, files: Iterable[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_FLAGS)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        for folder in {folder for file in files for folder in folders(file)}:
            # A folder that is not there is not watched: nothing can be read from it either.
            libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _EVENTS)

    def close(self) -> None:
        """Watch no longer."""
        os.close(self._descriptor)

    async def event(self) -> None:
        """Returns at the first event."""
        loop = asyncio.get_running_loop()
        happened: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._descriptor, self._read, happened)
        try:
            await happened
        finally:
            loop.remove_reader(self._descriptor)

    def _read(self, happened: "asyncio.Future[None]") -> None:
        os.read(self._descriptor, _ROOM)
        if not happened.done():
            happened.set_result(None)

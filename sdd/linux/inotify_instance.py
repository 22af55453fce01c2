"""One inotify(7) instance, without anybody who waits for it.

In: folders and files. Out: (watch, name) of what happened. `inotify` is the same for an event loop.
"""

import ctypes
import os
import struct
from collections.abc import Iterator

NAMES = 0x40 | 0x80 | 0x100 | 0x200 | 0x400  # include/uapi/linux/inotify.h: moved from, moved to,
# create, delete, the folder itself deleted
WRITES = 0x2 | 0x8  # modify, close after write
FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK and IN_CLOEXEC are the same numbers
_ROOM = 1 << 16
_EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, size of the name


class Instance:
    """`descriptor` is -1 where the kernel gave none: fs.inotify.max_user_instances is 128 for root.

    Nothing is watched then, and nothing happens.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self.descriptor: int = libc.inotify_init1(FLAGS)

    def add(self, path: str | os.PathLike[str], events: int) -> int:
        """Its number, the same for the same folder; -1 for what is not there."""
        return int(self._add(self.descriptor, os.fsencode(path), events))

    def read(self) -> Iterator[tuple[int, bytes]]:
        """What happened, a name empty for what is watched itself; raises when nothing did."""
        return _events(os.read(self.descriptor, _ROOM))

    def close(self) -> None:
        """Watch no longer."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _events(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        watch, _, _, size = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield watch, data[at : at + size].rstrip(b"\0")
        at += size

"""What happens to names in folders: one inotify(7) instance, waited for by an event loop.

In: folders, names in them, files. Out: which names something happened to. What that was is not
told: whoever hears of it looks. A host without an instance left is covered by looking every now and
then.
"""

import asyncio
import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

# Without inotify: fs.inotify.max_user_instances is 128 for all of root.
BLIND_S: Final = 2.0
ANYTHING: Final = ""  # heard instead of a name: what was watched itself, or more than was kept
_ROOM: Final = 1 << 16
_EVENT: Final = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, size of the name
_EVENTS: Final = 0x2 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400  # include/uapi/linux/inotify.h:
# modify, close after write, moved from, moved to, create, delete, the folder itself deleted
_WRITES: Final = 0x2 | 0x8  # modify, close after write
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK and IN_CLOEXEC are the same numbers


class Watch:
    """Of what is there when it is made; a folder that comes later is heard of by its parent."""

    def __init__(
        self,
        *,
        names: Iterable[tuple[Path, str]] = (),
        files: Iterable[Path] = (),
        folders: Iterable[Path] = (),
    ) -> None:
        """`names` are heard of as `ANYTHING`, writes to `files` too, all in `folders` by name."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self._descriptor = libc.inotify_init1(_FLAGS)
        self._names: dict[int, set[bytes]] = {}
        self._whole: set[int] = set()
        self._heard: set[str] = set()
        if self._descriptor < 0:
            return
        for folder, name in names:
            watch = self._watched(folder, _EVENTS)
            self._names.setdefault(watch, set()).add(os.fsencode(name))
        for file in files:  # its events have no name
            self._watched(file, _WRITES)
        self._whole = {self._watched(folder, _EVENTS) for folder in folders}

    def _watched(self, path: Path, events: int) -> int:
        """Its number, the same for the same folder; -1 for what is not there."""
        return int(self._add(self._descriptor, os.fsencode(path), events))

    def close(self) -> None:
        """Watch no longer."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def event(self, again_s: float) -> frozenset[str]:
        """What something happened to since the last call; waits for it `again_s` seconds at most.

        Where nothing can be seen it returns sooner, with nothing.
        """
        if self._descriptor < 0:
            await asyncio.sleep(min(again_s, BLIND_S))
            return frozenset()
        loop = asyncio.get_running_loop()
        happened: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._descriptor, self._read, happened)
        try:
            async with asyncio.timeout(again_s):
                await happened
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(self._descriptor)
        heard, self._heard = frozenset(self._heard), set()
        return heard

    def _read(self, happened: "asyncio.Future[None]") -> None:
        for watch, name in _events(os.read(self._descriptor, _ROOM)):
            if not name or name in self._names.get(watch, ()):
                self._heard.add(ANYTHING)
            elif watch in self._whole:
                self._heard.add(os.fsdecode(name))
        if self._heard and not happened.done():
            happened.set_result(None)


def _events(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        watch, _, _, size = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield watch, data[at : at + size].rstrip(b"\0")
        at += size

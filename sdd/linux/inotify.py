"""What happens to names in folders: one inotify(7) instance, waited for by an event loop.

In: folders, names in them, files. Out: which names something happened to. What that was is not
told: whoever hears of it looks. A host without an instance left is covered by looking every now and
then.
"""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sdd.linux import inotify_instance

BLIND_S: Final = 2.0  # without inotify
ANYTHING: Final = ""  # heard instead of a name: what was watched itself, or more than was kept
_EVENTS: Final = inotify_instance.NAMES | inotify_instance.WRITES


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
        self._instance = inotify_instance.Instance()
        self._names: dict[int, set[bytes]] = {}
        self._whole: set[int] = set()
        self._heard: set[str] = set()
        if self._instance.descriptor < 0:
            return
        for folder, name in names:
            watch = self._instance.add(folder, _EVENTS)
            self._names.setdefault(watch, set()).add(os.fsencode(name))
        for file in files:  # its events have no name
            self._instance.add(file, inotify_instance.WRITES)
        self._whole = {self._instance.add(folder, _EVENTS) for folder in folders}

    def close(self) -> None:
        """Watch no longer."""
        self._instance.close()

    async def event(self, again_s: float) -> frozenset[str]:
        """What something happened to since the last call; waits for it `again_s` seconds at most.

        Where nothing can be seen it returns sooner, with nothing.
        """
        descriptor = self._instance.descriptor
        if descriptor < 0:
            await asyncio.sleep(min(again_s, BLIND_S))
            return frozenset()
        loop = asyncio.get_running_loop()
        happened: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, self._read, happened)
        try:
            async with asyncio.timeout(again_s):
                await happened
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(descriptor)
        heard, self._heard = frozenset(self._heard), set()
        return heard

    def _read(self, happened: "asyncio.Future[None]") -> None:
        for watch, name in self._instance.read():
            if not name or name in self._names.get(watch, ()):
                self._heard.add(ANYTHING)
            elif watch in self._whole:
                self._heard.add(os.fsdecode(name))
        if self._heard and not happened.done():
            happened.set_result(None)

"""Tells when the host's resolv.conf changes: rewritten, renamed over, or led to by other links.

In: the files that were read. Out: calls. Every name on the way to a file, and to what its symlinks
lead to, is watched in its folder (inotify(7)): an edit is most often a rename, and a folder that
is not there yet appears in one that is. A file is watched itself too: one that is mounted over
another, as in containers, is written in a folder that is not here. What inotify cannot see, or a
host that has no instance of it left, is covered by looking every now and then.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Never

from sdd.linux import inotify, ways

SETTLE_S: Final = 0.1  # a rename comes as several events, and DHCP clients write twice
EMPTY_S: Final = 1.0  # a file that is empty for longer is so: `> resolv.conf` comes before writes
AGAIN_S: Final = 30.0  # a mount over a folder is no event


async def follow(
    files: Iterable[Path], changed: Callable[[], None], again_s: float = AGAIN_S
) -> Never:
    """Call `changed` soon after any of `files` may say something else; ends by cancellation.

    It is called at least every `again_s` seconds, so it should tell a change from none.
    """
    watched = tuple(files)
    watch = _watch(watched)
    try:
        while True:
            if await watch.event(again_s):
                await asyncio.sleep(SETTLE_S)
            await _filled(watched)
            # The next watch stands before anybody reads: no change falls between the two.
            older, watch = watch, _watch(watched)
            older.close()
            changed()
    finally:
        watch.close()


def _watch(files: tuple[Path, ...]) -> inotify.Watch:
    """Made anew after each event, as links may differ."""
    return inotify.Watch(names=(each for file in files for each in names(file)), files=files)


async def _filled(files: Iterable[Path]) -> None:
    """Until none of the files is empty, which one that is being written is at first."""
    for _ in range(round(EMPTY_S / SETTLE_S)):
        if not any(map(_is_empty, files)):
            return
        await asyncio.sleep(SETTLE_S)


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except OSError:
        return False


def names(file: Path) -> Iterator[tuple[Path, str]]:
    """Folder and name of all that `file` depends on: each part of its path, and of its links."""
    return ((Path(folder), name) for folder, name in ways.names(str(file)))

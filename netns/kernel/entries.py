"""Hands in the folder of `ip netns` → kicks: our links there that are gone or lead elsewhere.

In: the files of our namespaces. Out: calls of `kick` with those whose link is not as it should be.
No netlink message and no mount tells of a link that is removed.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Never

from netns.kernel import names
from sdd.linux import inotify
from sdd.model.look import Look

_QUIET_S = 0.05  # a link that is replaced is removed first; ours come in bursts
_LONG_S = 3600.0  # the steady look finds what is not heard


async def follow(
    paths: Callable[[], Iterable[str]], kick: Callable[[Look], None], linked: Path = names.LINKED
) -> Never:
    """Kicks within 0.1 s of a change; ends by cancellation.

    Our own changes are heard as well, and found to be right: `paths` has what should be there, and
    a link is made when its namespace is.
    """
    watch = _watch(linked)
    try:
        while True:
            heard = await watch.event(_LONG_S)
            if inotify.ANYTHING in heard:  # the folder itself: watched anew before it is looked at
                watch.close()
                watch = _watch(linked)
            if not heard:
                continue
            await asyncio.sleep(_QUIET_S)
            wanted = [path for path in paths() if _is_heard(path, heard)]
            if lost := await asyncio.to_thread(_lost, wanted, linked):
                kick(Look(spaces=lost))
    finally:
        watch.close()


def _watch(linked: Path) -> inotify.Watch:
    return inotify.Watch(names=((linked.parent, linked.name),), folders=(linked,))


def _is_heard(path: str, heard: Collection[str]) -> bool:
    return inotify.ANYTHING in heard or Path(path).name in heard


def _lost(paths: Collection[str], linked: Path) -> frozenset[str]:
    """Those that are there, and to which their link does not lead."""
    return frozenset(
        path for path in paths if Path(path).exists() and not _leads(linked / Path(path).name, path)
    )


def _leads(link: Path, path: str) -> bool:
    try:
        return str(link.readlink()) == path
    except OSError:
        return False

"""The kernel's word that mounts changed → kicks: named namespaces that lost their file.

In: the files of the namespaces. Out: calls of `kick` with those that lead to it no more, as
`sdd.linux.sight` tells. Of `ip netns del` and `umount` netlink tells nothing while a program or a
socket holds the namespace.
"""

import asyncio
import contextlib
import os
import select
from collections.abc import Callable, Iterable, Iterator
from typing import Never

from sdd.linux import sight
from sdd.model.look import Look

_TABLE = "/proc/self/mountinfo"
_QUIET_S = 0.1  # mounts come in bursts, our own too; one look at all files serves each


async def follow(paths: Callable[[], Iterable[str]], kick: Callable[[Look], None]) -> Never:
    """Kicks within 0.1 s of an unmount; ends by cancellation.

    `paths` are the files that matter. One that was never seen to be a namespace is no news.
    """
    eye, seen = sight.Sight(), _NOTHING
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    changed.set()  # what is there at the start
    with _ear() as ear:
        loop.add_reader(ear, _hear, ear, changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                # In a thread: what a path leads through may hang.
                lost, seen = await asyncio.to_thread(_look, eye, seen, frozenset(paths()))
                if lost:
                    kick(Look(spaces=frozenset(path for path, _ in lost)))
                await asyncio.sleep(_QUIET_S)
        finally:
            loop.remove_reader(ear)


@contextlib.contextmanager
def _ear() -> Iterator[select.epoll]:
    """Readable when mounts changed: the table itself always is, its news are priority events."""
    table = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with select.epoll() as ear:
            ear.register(table, select.EPOLLPRI)
            yield ear
    finally:
        os.close(table)


def _hear(ear: select.epoll, changed: asyncio.Event) -> None:
    ear.poll(0)  # makes it quiet until the next change
    changed.set()


_Places = frozenset[sight.Place]
_NOTHING: _Places = frozenset()


def _look(eye: sight.Sight, seen: _Places, wanted: frozenset[str]) -> tuple[_Places, _Places]:
    """What of `seen` is lost, and what is there now."""
    known = frozenset(place for place in seen if place[0] in wanted)
    lost = eye.lost(known)
    stays = known - lost
    return lost, stays | eye.places(wanted - {path for path, _ in stays})

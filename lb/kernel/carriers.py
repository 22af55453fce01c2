"""Which links of the host have a carrier: told at each change, by what the kernel says of it.

In: one netlink dump, and notifications after it. Out: names of links and whether the other end is
there. Nobody looks at all links because of one. Layout: include/uapi/linux/if_link.h.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Never

from lb.cable import Cable
from sdd import errors
from sdd.linux import namespaces, netlink, netlink_own, netlink_room

AGAIN_S: Final = 0.2  # before all is looked at again; then ever more seldom, as long as links swarm
LONGEST_S: Final = 5.0
_GROUP: Final = 1  # RTNLGRP_LINK
_NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_HEADER = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_NAME = 3
_LOWER_UP = 1 << 16  # IFF_LOWER_UP: the other end is there and up
_SOL_NETLINK = 270
_ADD_MEMBERSHIP = 1
_RECEIVE = 1 << 16
_AT_ONCE = 64  # datagrams a wake-up, so that a flood does not hold the loop

_UNSPEC = 0  # AF_UNSPEC: a bridge tells of its ports as well, by messages of its own

Told = Callable[[Mapping[str, Cable]], None]  # by name of the link
Messages = list[tuple[int, bytes]]  # types and bodies


class Links:
    """What was heard of the host's links, by index; pure."""

    def __init__(self) -> None:
        self._links: dict[int, tuple[str, Cable]] = {}

    def heard(self, messages: Iterable[tuple[int, bytes]]) -> Mapping[str, Cable]:
        """What is new with these: types and bodies of messages, as they came.

        The former name of one that was renamed is gone.
        """
        found: dict[str, Cable] = {}
        for kind, body in messages:
            if kind not in (_NEW_LINK, _DELETE_LINK) or len(body) < _HEADER.size:
                continue
            family, _, index, flags, _ = _HEADER.unpack_from(body)
            name = netlink.to_text(netlink.attributes(body[_HEADER.size :]).get(_NAME, b""))
            if family != _UNSPEC or not name:
                continue
            before = self._links.pop(index, (name, Cable.GONE))
            now = (name, Cable.UP if flags & _LOWER_UP else Cable.DOWN)
            if kind == _NEW_LINK:
                self._links[index] = now
            if kind == _DELETE_LINK or before[0] != name:
                found[before[0]] = Cable.GONE
            if kind == _NEW_LINK and before != now:
                found[name] = now[1]
        return found

    def all(self, messages: Iterable[tuple[int, bytes]]) -> Mapping[str, Cable]:
        """How each is, and which are gone, when these are all links that there are."""
        before, self._links = self._links, {}
        return {name: Cable.GONE for name, _ in before.values()} | dict(self.heard(messages))


async def follow(
    doors: namespaces.Namespaces,
    told: Told,
    host: str = "",
    *,
    links: Links | None = None,
    dump: Callable[[], Messages] | None = None,
) -> Never:
    """Tells how all are, then of each that is another way than before.

    `host` is a namespace's file. `links` is what was heard before, if this begins anew: of those
    that are gone since is told as well. What is too much to be heard is looked at again. Where the
    kernel's list changes faster than it is read (`dump`), what can be heard is told meanwhile. Ends
    by cancellation.
    """
    links, lost = Links() if links is None else links, asyncio.Event()
    loop = asyncio.get_running_loop()
    ear = await doors.run(host, _open)

    def drain() -> None:
        messages, is_whole = _received(ear)
        if found := links.heard(messages):
            told(found)
        if not is_whole:
            lost.set()

    again_s = AGAIN_S
    try:
        while True:
            lost.clear()
            _emptied(ear)  # what was heard before is older than what is looked at now
            all_there = await _looked(doors, host, dump or dumped)
            if all_there is not None and (found := links.all(all_there)):
                told(found)
            loop.add_reader(ear, drain)
            looked_at = loop.time()
            if all_there is not None:
                await lost.wait()
            again_s = AGAIN_S if loop.time() - looked_at > LONGEST_S else again_s
            await asyncio.sleep(again_s)
            again_s = min(LONGEST_S, 2 * again_s)
            loop.remove_reader(ear)
    finally:
        loop.remove_reader(ear)
        ear.close()


async def _looked(
    doors: namespaces.Namespaces, host: str, dump: Callable[[], Messages]
) -> Messages | None:
    """All links; None when nobody can tell now: they swarm, or no descriptor is left."""
    try:
        return await doors.run(host, dump)
    except (errors.Unavailable, errors.KernelRefused, OSError):
        return None


def _emptied(ear: socket.socket) -> None:
    while True:
        try:
            ear.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise


def _received(ear: socket.socket) -> tuple[Messages, bool]:
    """What came, as types and bodies, and whether that is all there was."""
    messages: Messages = []
    for _ in range(_AT_ONCE):
        try:
            datagram = ear.recv(_RECEIVE)
        except BlockingIOError:
            break
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise
            return messages, False
        messages += ((kind, body) for kind, _, _, body in netlink.frames(datagram))
    return messages, True


def _open() -> socket.socket:
    ear = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.ROUTE)
    ear.setblocking(False)
    netlink_room.receiving(ear)
    netlink_own.bind(ear)
    ear.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
    return ear


def dumped() -> Messages:
    """Each link of the calling thread's namespace, as if it were news."""
    with netlink.Connection(netlink.ROUTE) as connection:
        replies = connection.dump(_GET_LINK, bytes(_HEADER.size))
    return [(_NEW_LINK, each.body) for each in replies]

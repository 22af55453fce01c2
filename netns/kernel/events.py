"""The kernel's news → kicks: something changed that may be ours, and where.

In: rtnetlink and nftables notifications of the host and of every namespace that a link of the host
leads into. Out: calls of `kick` with the places. What changed is not looked at: the reconcilers
compare anyway.
"""

import asyncio
import errno
import functools
import socket
import struct
import time
from collections.abc import Callable, Iterable
from typing import Never

import structlog

from netns.kernel import news, numbers, read
from netns.netlink import number
from sdd.linux import namespaces, netlink, netlink_own
from sdd.model.look import EVERYWHERE, HOST, NOWHERE, Look

QUIET_S = 0.05  # news come in bursts; one look at the end of a burst is enough
LONGEST_S = 2.0  # somebody who changes things all the time must not keep us busy
# links, v4/v6 addresses, routes and rules, namespace numbers
_ROUTE_GROUPS = (1, 5, 7, 8, 9, 11, 19, 28)
_NFT_GROUPS = (7,)  # NFNLGRP_NFTABLES
_SOL_NETLINK = 270
_ADD_MEMBERSHIP = 1
_LISTEN_ALL_NSID = 8  # hear those namespaces too that have a number in this one
_RECEIVE = 1 << 16
_NUMBER = struct.Struct("=i")
_ANCILLARY = socket.CMSG_SPACE(_NUMBER.size)
_AT_ONCE = 64  # datagrams per wake-up, so that a flood does not hold the loop

Hear = Callable[[bytes, int], None]

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


async def follow(
    doors: namespaces.Namespaces,
    paths: Callable[[], Iterable[str]],
    kick: Callable[[Look], None],
) -> Never:
    """Kicks at the first news, then at most every 0.05 s, at most every 2 s while it goes on.

    `paths` are the namespaces that matter. Changes made by this process itself, and those in
    namespaces of strangers, are no news. Ends by cancellation.
    """
    ears = await doors.run("", _open)
    loop = asyncio.get_running_loop()
    wake = asyncio.Event()

    try:
        gathering = news.Gathering(await doors.run("", _names))
        for ear, hear in zip(ears, (gathering.route, gathering.netfilter), strict=True):
            loop.add_reader(ear, _drain, ear, hear, gathering.lose, wake.set)
        await _kick_when_woken(wake, gathering, _Places(doors, paths), kick)
    finally:
        for ear in ears:
            loop.remove_reader(ear)
            ear.close()


async def _kick_when_woken(
    wake: asyncio.Event,
    gathering: news.Gathering,
    places: "_Places",
    kick: Callable[[Look], None],
) -> Never:
    pause = QUIET_S
    while True:
        before = time.monotonic()
        await wake.wait()
        wake.clear()
        look = await places.look(gathering.take())
        if look == NOWHERE:
            continue
        waited = time.monotonic() - before
        pause = QUIET_S if waited > LONGEST_S else min(LONGEST_S, pause * 1.5)
        kick(look)
        await asyncio.sleep(pause)


class _Places:
    """Where news are from, in our words."""

    def __init__(self, doors: namespaces.Namespaces, paths: Callable[[], Iterable[str]]) -> None:
        self._doors = doors
        self._numbers = numbers.Numbers(paths)

    async def look(self, heard: news.News) -> Look:
        if heard.lost:
            say.info("kernel.news_lost", why="more came than could be heard; looking everywhere")
            self._numbers.forget()
            return EVERYWHERE
        spaces = frozenset({HOST}) if heard.host else frozenset()
        if heard.numbers or heard.ended:
            ask = functools.partial(self._numbers.paths, heard.numbers, heard.ended)
            spaces |= await self._doors.run("", ask)
        return Look(spaces=spaces, links=heard.links, routes=heard.routes)


def _names() -> dict[int, str]:
    with netlink.Connection(netlink.ROUTE) as connection:
        return dict(read.names(connection))


def _open() -> tuple[socket.socket, ...]:
    ears = (
        _ear(netlink.ROUTE, _ROUTE_GROUPS),
        _ear(netlink.NETFILTER, _NFT_GROUPS),
    )
    try:
        for ear in ears:
            ear.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
    except PermissionError:
        say.warning(
            "kernel.deaf",
            why="what changes inside sandboxes is not heard without CAP_NET_BROADCAST",
            instead="it is looked for every 20 s",
        )
    return ears


def _ear(protocol: int, groups: tuple[int, ...]) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.setblocking(False)
    netlink_own.bind(opened)
    netlink_own.ignore_own(opened)
    for group in groups:
        opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    return opened


def _drain(
    ear: socket.socket, hear: Hear, lose: Callable[[], None], woken: Callable[[], None]
) -> None:
    for _ in range(_AT_ONCE):
        try:
            datagram, ancillary, _, _ = ear.recvmsg(_RECEIVE, _ANCILLARY)
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise
            lose()
        else:
            hear(datagram, _origin(ancillary))
        woken()


def _origin(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The number of the namespace that a datagram is from; `number.NONE` for the host's own."""
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_NETLINK, _LISTEN_ALL_NSID):
            (found,) = _NUMBER.unpack_from(data)
            return int(found)
    return number.NONE

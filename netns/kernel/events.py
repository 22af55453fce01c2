"""The kernel's news → kicks: something changed that may be ours.

In: rtnetlink and nftables notifications of the host and of every namespace that a link of the host
leads into. Out: calls of `kick`. What changed is not looked at: the reconcilers compare anyway.
"""

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Never

from sdd.linux import namespaces, netlink

QUIET_S = 0.05  # news come in bursts; one look at the end of a burst is enough
LONGEST_S = 2.0  # somebody who changes things all the time must not keep us busy
_ROUTE_GROUPS = (1, 5, 7, 9, 11, 28)  # links, v4/v6 addresses and routes, namespace numbers
_NFT_GROUPS = (7,)  # NFNLGRP_NFTABLES
_SOL_NETLINK = 270
_ADD_MEMBERSHIP = 1
_LISTEN_ALL_NSID = 8  # hear those namespaces too that have a number in this one
_RECEIVE = 1 << 16
_AT_ONCE = 64  # datagrams per wake-up, so that a flood does not hold the loop


async def follow(doors: namespaces.Namespaces, kick: Callable[[], None]) -> Never:
    """Kicks at the first news, then at most every 0.05 s, at most every 2 s while it goes on.

    Changes made by this process itself are no news. Ends by cancellation.
    """
    listeners = await doors.run("", _open)
    loop = asyncio.get_running_loop()
    wake = asyncio.Event()
    try:
        for each in listeners:
            loop.add_reader(each, _drain, each, wake)
        await _kick_when_woken(wake, kick)
    finally:
        for each in listeners:
            loop.remove_reader(each)
            each.close()


async def _kick_when_woken(wake: asyncio.Event, kick: Callable[[], None]) -> Never:
    pause = QUIET_S
    while True:
        before = time.monotonic()
        await wake.wait()
        waited = time.monotonic() - before
        pause = QUIET_S if waited > LONGEST_S else min(LONGEST_S, pause * 1.5)
        wake.clear()
        kick()
        await asyncio.sleep(pause)


def _open() -> tuple[socket.socket, ...]:
    return (
        _listener(netlink.ROUTE, _ROUTE_GROUPS),
        _listener(netlink.NETFILTER, _NFT_GROUPS),
    )


def _listener(protocol: int, groups: tuple[int, ...]) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.setblocking(False)
    opened.bind((0, 0))
    for group in groups:
        opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    # Without CAP_NET_BROADCAST the sandboxes are looked at every 20 s only.
    with contextlib.suppress(PermissionError):
        opened.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
    return opened


def _drain(listener: socket.socket, wake: asyncio.Event) -> None:
    own = os.getpid()  # the kernel gives a process's first socket its pid as port id
    for _ in range(_AT_ONCE):
        try:
            news = listener.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise
            wake.set()  # news were lost: there were many
            continue
        if any(port != own for port in netlink.senders(news)):
            wake.set()

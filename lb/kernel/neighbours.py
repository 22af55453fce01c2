"""Hears which addresses nobody answers for on the wire: neighbours that failed, in any namespace.

In: rtnetlink notifications of the host and of every namespace that a link of the host leads into.
Out: one call per address. The kernel drops all others of its very many neighbour notifications by a
filter on the socket, so a busy network wakes nobody. Layout: include/uapi/linux/neighbour.h.
"""

import asyncio
import contextlib
import ctypes
import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Never

from lb.kernel import ears
from sdd.linux import namespaces, netlink, netlink_own
from sdd.model.network import IPAddress

_GROUP = 3  # RTNLGRP_NEIGH
_NEW_NEIGHBOUR = 28
_FAILED = 0x20  # NUD_FAILED
_KIND_AT, _STATE_AT = 4, 24  # in a datagram: nlmsghdr.nlmsg_type, ndmsg.ndm_state
_HEADER = struct.Struct("=BBHiHBB")  # struct ndmsg
_DESTINATION = 1  # NDA_DST
_SOL_NETLINK = 270
_ADD_MEMBERSHIP = 1
_LISTEN_ALL_NSID = 8
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_WIDTHS = frozenset({4, 16})


async def follow(
    doors: namespaces.Namespaces, told: Callable[[IPAddress], None], host: str = ""
) -> Never:
    """Tells of every failed neighbour; ends by cancellation. `host` is a namespace's file."""
    ear = await doors.run(host, _open)
    loop = asyncio.get_running_loop()
    loop.add_reader(ear, ears.drain, ear, failed, told)
    try:
        await asyncio.Event().wait()
    finally:
        loop.remove_reader(ear)
        ear.close()
    raise AssertionError("nobody sets the event")


def failed(datagram: bytes) -> Iterator[IPAddress]:
    """The addresses of the failed neighbours in a datagram; what is no such thing has none."""
    for kind, _, _, body in netlink.frames(datagram):
        if kind != _NEW_NEIGHBOUR or len(body) < _HEADER.size:
            continue
        _, _, _, _, state, _, _ = _HEADER.unpack_from(body)
        address = netlink.attributes(body[_HEADER.size :]).get(_DESTINATION, b"")
        if state & _FAILED and len(address) in _WIDTHS:
            yield ipaddress.ip_address(address)


def _open() -> socket.socket:
    ear = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.ROUTE)
    ear.setblocking(False)
    _filter(ear)
    netlink_own.bind(ear)
    ear.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
    with contextlib.suppress(PermissionError):  # the host's own only; netns says so
        ear.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
    return ear


def _filter(ear: socket.socket) -> None:
    """Classic BPF: a new neighbour whose state is failed, and nothing else.

    BPF loads half-words in network order, netlink writes them in the machine's.
    """
    program = (
        (0x28, 0, 0, _KIND_AT),  # ldh
        (0x15, 0, 3, socket.ntohs(_NEW_NEIGHBOUR)),  # jeq, else to the last
        (0x28, 0, 0, _STATE_AT),
        (0x45, 0, 1, socket.ntohs(_FAILED)),  # jset, else to the last
        (0x06, 0, 0, 0xFFFFFFFF),  # ret: all of it
        (0x06, 0, 0, 0),  # ret: nothing
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    wanted = struct.pack("@HP", len(program), ctypes.addressof(code))  # struct sock_fprog
    ear.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, wanted)

"""Whether somebody on the wire answers for an address, as the kernel's neighbour entry of it tells.

In: an address. Out: whether the kernel asks for it and has no answer yet. Runs in the namespace of
the calling thread. Layouts: include/uapi/linux/neighbour.h and rtnetlink.h.
"""

import socket
import struct

from sdd.linux import netlink
from sdd.model.network import IPAddress

_GET_ROUTE, _NEW_NEIGHBOUR, _GET_NEIGHBOUR = 26, 28, 30
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_ENTRY = struct.Struct("=BxxxiHBB")  # struct ndmsg
_ROUTE_TO, _OIF, _GATEWAY = 1, 4, 5  # RTA_*
_DESTINATION = 1  # NDA_DST
_UNICAST = 1  # RTN_UNICAST
_REPLACE = 0x100  # NLM_F_REPLACE
_INCOMPLETE, _REACHABLE, _STALE, _DELAY, _PROBE, _FAILED = 1, 2, 4, 8, 16, 32  # NUD_*
_BELIEVED = _REACHABLE | _STALE | _DELAY
_UNANSWERED = _INCOMPLETE | _PROBE | _FAILED
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def is_unanswered(address: IPAddress) -> bool:
    """Whether nobody has answered for `address` since the kernel asked.

    False of what has no neighbour entry: one of our own, one behind a router.
    """
    with netlink.Connection(netlink.ROUTE) as connection:
        index = _link(connection, address)
        return bool(index and _state(connection, address, index) & _UNANSWERED)


def ask(address: IPAddress) -> bool:
    """The kernel asks anew for what it believes to be there; then as `is_unanswered`.

    It would go on to believe it for most of a minute. What somebody entered by hand stays.
    """
    with netlink.Connection(netlink.ROUTE) as connection:
        index = _link(connection, address)
        state = _state(connection, address, index) if index else 0
        if state & _BELIEVED:
            body = _named(address, index, _PROBE)
            connection.request((netlink.Message(_NEW_NEIGHBOUR, _REPLACE, body),))
            state = _state(connection, address, index)
        return bool(state & _UNANSWERED)


def _link(connection: netlink.Connection, address: IPAddress) -> int:
    """The link that leads straight to it; 0 for none."""
    family, bits = _FAMILIES[address.version], address.max_prefixlen
    header = _ROUTE.pack(family, bits, 0, 0, 0, 0, 0, 0, 0)
    asked = header + netlink.attribute(_ROUTE_TO, address.packed)
    (result,) = connection.request((netlink.Message(_GET_ROUTE, 0, asked),))
    for reply in result.replies:
        kind = _ROUTE.unpack_from(reply.body)[7]
        found = netlink.attributes(reply.body[_ROUTE.size :])
        if kind == _UNICAST and _GATEWAY not in found:
            return netlink.to_int(found.get(_OIF, b""))
    return 0


def _state(connection: netlink.Connection, address: IPAddress, index: int) -> int:
    asked = netlink.Message(_GET_NEIGHBOUR, 0, _named(address, index))
    (result,) = connection.request((asked,))
    for reply in result.replies:
        state: int = _ENTRY.unpack_from(reply.body)[2]
        return state
    return 0


def _named(address: IPAddress, index: int, state: int = 0) -> bytes:
    header = _ENTRY.pack(_FAMILIES[address.version], index, state, 0, 0)
    return header + netlink.attribute(_DESTINATION, address.packed)

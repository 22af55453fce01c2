"""Which links of the host have a carrier: one netlink dump. include/uapi/linux/if.h."""

import struct

from sdd.linux import namespaces, netlink

_GET_LINK = 18
_HEADER = struct.Struct("=BxHiII")  # struct ifinfomsg
_NAME = 3
_LOWER_UP = 1 << 16  # IFF_LOWER_UP: the other end is there and up


async def carriers(spaces: namespaces.Namespaces) -> frozenset[str]:
    """The names of the host's links whose other end is up."""
    return await spaces.run("", _alive)


def _alive() -> frozenset[str]:
    with netlink.Connection(netlink.ROUTE) as connection:
        replies = connection.dump(_GET_LINK, bytes(_HEADER.size))
    return frozenset(
        netlink.to_text(netlink.attributes(each.body[_HEADER.size :]).get(_NAME, b""))
        for each in replies
        if _HEADER.unpack_from(each.body)[3] & _LOWER_UP
    )

"""Virtual addresses that nobody answers for: what waits for their hardware address is let go.

While hands have our table away, what is sent to a virtual address is on-link and nothing else, so
the kernel asks whose it is, for three seconds, and keeps it meanwhile. TCP sends nothing a second
time that still lies in its own host, and who connects hears at the end that there is no such host
(EHOSTUNREACH). Forgetting the question alone would tell them so at once. So it is answered first,
with the link's own hardware address, at which nobody takes what it sent itself; then it is
forgotten, and what is sent again meets our table. Layout: include/uapi/linux/neighbour.h.
"""

import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from sdd.linux import netlink
from sdd.model.network import IPAddress

_NEW, _DELETE, _GET, _GET_LINK = 28, 29, 30, 18
_INCOMPLETE, _STALE = 0x01, 0x04  # NUD_*
_HEADER = struct.Struct("=BxxxiHBB")  # struct ndmsg: family, link, state, flags, type
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_DESTINATION, _HARDWARE = 1, 2  # NDA_DST, NDA_LLADDR
_ADDRESS = 1  # IFLA_ADDRESS
_ANY = 0  # AF_UNSPEC


class _Question(NamedTuple):
    family: int
    link: int
    address: bytes


def let_go(vips: Collection[IPAddress]) -> None:
    """What waits for the hardware address of any of `vips` in this thread's namespace."""
    wanted = {each.packed for each in vips}
    if not wanted:
        return
    with netlink.Connection(netlink.ROUTE) as connection:
        asked = [each for each in _asked(connection) if each.address in wanted]
        for link in {each.link for each in asked}:
            hardware = _hardware(connection, link)
            those = [each for each in asked if each.link == link]
            connection.request(_answer(each, hardware) for each in those)
            connection.request(_forgotten(each) for each in those)


def _asked(connection: netlink.Connection) -> Iterator[_Question]:
    for reply in connection.dump(_GET, _HEADER.pack(_ANY, 0, 0, 0, 0)):
        family, link, state, _, _ = _HEADER.unpack_from(reply.body)
        if state & _INCOMPLETE:
            address = netlink.attributes(reply.body[_HEADER.size :]).get(_DESTINATION, b"")
            yield _Question(family, link, address)


def _hardware(connection: netlink.Connection, link: int) -> bytes:
    """That of a link; nothing when it went meanwhile, and its questions with it."""
    (told,) = connection.request((netlink.Message(_GET_LINK, 0, _LINK.pack(0, 0, link, 0, 0)),))
    for each in told.replies:
        return netlink.attributes(each.body[_LINK.size :]).get(_ADDRESS, b"")
    return b""


def _answer(question: _Question, hardware: bytes) -> netlink.Message:
    body = _HEADER.pack(question.family, question.link, _STALE, 0, 0)
    attributes = netlink.attribute(_DESTINATION, question.address)
    attributes += netlink.attribute(_HARDWARE, hardware)
    return netlink.Message(_NEW, netlink.REPLACE, body + attributes)


def _forgotten(question: _Question) -> netlink.Message:
    body = _HEADER.pack(question.family, question.link, 0, 0, 0)
    return netlink.Message(_DELETE, 0, body + netlink.attribute(_DESTINATION, question.address))

"""Whole requests in loads: all are tried, and a refusal has the number of what it is about."""

import errno
import socket
import struct

import pytest

from sdd.linux import namespaces, netlink

pytestmark = pytest.mark.kernel

NEW_LINK = 16  # RTM_NEWLINK
MANY = 1000  # more refusals than find room in the buffer that a socket has unasked
HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
FLAGS = netlink.REQUEST | netlink.CREATE | netlink.EXCL


def bridge(name: str, number: int) -> bytes:
    """A request for a bridge, framed by hand."""
    kind = netlink.nested(18, netlink.text(1, "bridge"))  # IFLA_LINKINFO, IFLA_INFO_KIND
    body = bytes(16) + netlink.text(3, name) + kind  # struct ifinfomsg, IFLA_IFNAME
    return HEADER.pack(HEADER.size + len(body), NEW_LINK, FLAGS, number, 0) + body


async def test_all_of_every_load_are_tried_and_refusals_have_their_numbers() -> None:
    def work() -> tuple[dict[int, int], set[str]]:
        with netlink.Connection(netlink.ROUTE) as connection:
            one, two, three = connection.numbers(3)
            loads = (
                bridge("a", one) + bridge("a", two) + bridge("b", one) + bridge("c", two),
                bridge("b", three) + bridge("b", three) + bridge("d", one),
            )
            refused = connection.refusals(loads)
            (after,) = connection.request(
                (netlink.Message(18, 0, bytes(16) + netlink.text(3, "d")),)
            )
            assert not after.error  # RTM_GETLINK: the connection goes on as before
            return {number: each.error for number, each in refused.items()}, {
                name for _, name in socket.if_nameindex()
            }

    doors = namespaces.Namespaces()
    try:
        refused, names = await doors.scratch(work)
    finally:
        doors.close()
    assert refused == {2: errno.EEXIST, 3: errno.EEXIST}
    assert names >= {"a", "b", "c", "d"}


async def test_as_much_as_there_is_room_for_can_be_refused_at_once() -> None:
    def work() -> tuple[int, dict[int, int]]:
        with netlink.Connection(netlink.ROUTE) as connection:
            (made,) = connection.numbers(1)
            assert connection.refusals((bridge("a", made),)) == {}
            again = bridge("a", 0)
            numbers = connection.numbers(connection.room() // len(again))
            refused = connection.refusals((b"".join(bridge("a", each) for each in numbers),))
            return len(numbers), {number: each.error for number, each in refused.items()}

    doors = namespaces.Namespaces()
    try:
        count, refused = await doors.scratch(work)
    finally:
        doors.close()
    assert count > MANY
    assert list(refused.values()) == [errno.EEXIST] * count

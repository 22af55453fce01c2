"""The numbers by which one network namespace calls others, on the wire.

Format: include/uapi/linux/net_namespace.h. A number is taken back when its namespace ends.
"""

import struct

from sdd.linux import netlink

NEW, DELETE, GET = 88, 89, 90  # RTM_…NSID
NONE = -1  # NETNSA_NSID_NOT_ASSIGNED
_HEADER = struct.Struct("=B3x")  # struct rtgenmsg, padded
_NUMBER, _DESCRIPTOR = 1, 3
_SIGNED = struct.Struct("=i")


def of_namespace(descriptor: int) -> netlink.Message:
    """The question for the number of the namespace that is open as `descriptor`."""
    return netlink.Message(GET, 0, _HEADER.pack(0) + netlink.u32(_DESCRIPTOR, descriptor))


def give(descriptor: int) -> netlink.Message:
    """Gives the namespace that is open as `descriptor` a number, unless it has one (EEXIST)."""
    chosen = netlink.attribute(_NUMBER, _SIGNED.pack(NONE))  # by the kernel
    return netlink.Message(NEW, 0, _HEADER.pack(0) + chosen + netlink.u32(_DESCRIPTOR, descriptor))


def listing() -> tuple[int, bytes]:
    """Type and body of the request that lists all numbers."""
    return GET, _HEADER.pack(0)


def of(body: bytes) -> int:
    """The number in a message of type NEW or DELETE; `NONE` when it has none."""
    payload = netlink.attributes(body[_HEADER.size :]).get(_NUMBER, b"")
    if len(payload) < _SIGNED.size:
        return NONE
    (number,) = _SIGNED.unpack_from(payload)
    return int(number)

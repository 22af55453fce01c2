"""Addresses on the wire: messages that list, add and remove them, and the kernel's reports.

Format: include/uapi/linux/if_addr.h. Who gave an address is told by IFA_PROTO (Linux 5.18).
"""

import ipaddress
import socket
import struct
from dataclasses import dataclass

from sdd.linux import netlink

NEW, DELETE, GET = 20, 21, 22
_HEADER = struct.Struct("=BBBBI")  # struct ifaddrmsg
_ADDRESS, _LOCAL, _BROADCAST, _FLAGS, _PROTO = 1, 2, 4, 8, 11
_HOST_SCOPE = 254
_NO_WAY = 0x200  # IFA_F_NOPREFIXROUTE: loopback needs no way to its subnet
_NODAD = 0x02  # the allocator already knows that nobody else has it
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_SHORTEST_BROADCAST = 30  # a /31 and a /32 have no broadcast address (RFC 3021)

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One address as the kernel tells it."""

    index: int
    interface: Interface
    protocol: int


def listing() -> tuple[int, bytes]:
    """Type and body of the request that lists all addresses of both families."""
    return GET, _HEADER.pack(socket.AF_UNSPEC, 0, 0, 0, 0)


def of(reply: netlink.Reply) -> Report:
    """The report in an answer of type NEW."""
    _, length, _, _, index = _HEADER.unpack_from(reply.body)
    found = netlink.attributes(reply.body[_HEADER.size :])
    # With a peer, IFA_ADDRESS is the other end and IFA_LOCAL our own.
    packed = found.get(_LOCAL) or found[_ADDRESS]
    return Report(
        index=index,
        interface=ipaddress.ip_interface((packed, length)),
        protocol=netlink.to_int(found.get(_PROTO, b"")),
    )


def add(index: int, interface: Interface, *, protocol: int) -> netlink.Message:
    """Gives the link `index` the address, marked with `protocol`, usable at once."""
    return netlink.Message(
        NEW, netlink.CREATE | netlink.EXCL, _body(index, interface) + netlink.u8(_PROTO, protocol)
    )


def delete(index: int, interface: Interface) -> netlink.Message:
    """Takes the address off the link."""
    return netlink.Message(DELETE, 0, _body(index, interface))


def _body(index: int, interface: Interface) -> bytes:
    prefix = interface.network.prefixlen
    scope = _HOST_SCOPE if interface.is_loopback else 0
    header = _HEADER.pack(_FAMILY[interface.version], prefix, 0, scope, index)
    packed = interface.ip.packed
    parts = [header, netlink.attribute(_LOCAL, packed), netlink.attribute(_ADDRESS, packed)]
    has_broadcast = prefix <= _SHORTEST_BROADCAST and not interface.is_loopback
    if isinstance(interface, ipaddress.IPv4Interface) and has_broadcast:
        parts.append(netlink.attribute(_BROADCAST, interface.network.broadcast_address.packed))
    if isinstance(interface, ipaddress.IPv6Interface):
        parts.append(netlink.u32(_FLAGS, _NODAD | (_NO_WAY if interface.is_loopback else 0)))
    return b"".join(parts)

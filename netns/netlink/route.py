"""Routes on the wire: messages that list, add and remove them, and the kernel's reports.

Format: include/uapi/linux/rtnetlink.h. Who made a route is told by its protocol number.
"""

import ipaddress
import socket
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sdd.linux import netlink

NEW, DELETE, GET = 24, 25, 26
UNICAST, LOCAL = 1, 2
BLACKHOLE, UNREACHABLE, PROHIBIT = 6, 7, 8
KERNEL = 2  # RTPROT_KERNEL: made by the kernel itself, of an address
LINK_SCOPE = 253
_HOST_SCOPE = 254
_LOCAL_TABLE = 255
_HEADER = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_DESTINATION, _OIF, _GATEWAY, _PRIORITY, _SOURCE, _TABLE = 1, 4, 5, 6, 7, 15
_SEVERAL, _VIA = 9, 18  # RTA_MULTIPATH; RTA_VIA: a gateway of the other IP version
_HOP = struct.Struct("=HBBi")  # struct rtnexthop, followed by attributes
_PROTOCOL = 5  # where rtm_protocol stands in the header
_UNIVERSE, _NOWHERE = 0, 255
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_VERSION = {int(family): version for version, family in _FAMILY.items()}
_BITS = {4: 32, 6: 128}
_TABLE_SIZE = 8  # bytes of the attribute _TABLE
_DESTINATION_OF = {
    version: struct.pack("=HH", 4 + bits // 8, _DESTINATION) for version, bits in _BITS.items()
}
_ANYWHERE = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}
_UNSPECIFIED = 0
_CLONED = 0x200  # RTM_F_CLONED: a cache entry, not a route
_SMALL_TABLE = 256  # rtm_table is a byte; larger numbers go into RTA_TABLE alone

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One route. `index` is 0 for routes over several links and for those that refuse."""

    destination: Network
    gateway: Address | None
    index: int
    table: int
    metric: int
    protocol: int
    kind: int
    scope: int


def listing() -> tuple[int, bytes]:
    """Type and body of the request that lists the routes of both families."""
    return GET, _HEADER.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0)


def listing_of(version: int, protocol: int, kind: int) -> tuple[int, bytes]:
    """The same for the routes of one IP version and `kind` that `protocol` made.

    On a strict connection, where the kernel leaves out the rest: each address and each link has
    routes for broadcast and multicast as well, a hundred links some hundreds.
    """
    return GET, _HEADER.pack(_FAMILY[version], 0, 0, 0, 0, protocol, 0, kind, 0)


def is_by(body: bytes, makers: Collection[int]) -> bool:
    """Whether one of the protocols `makers` made a reported route, at little cost."""
    return body[_PROTOCOL] in makers


def span(body: bytes) -> tuple[int, int, int] | None:
    """IP version, first and last address (as numbers) of a reported route; None as `of`.

    A host may have a million routes of which few matter: this costs a tenth of `of`.
    """
    version = _VERSION.get(body[0])
    if version is None:
        return None
    first, size = 0, _BITS[version]
    if body[1]:
        at = _HEADER.size + _TABLE_SIZE  # the kernel says the table first, then this
        packed = body[at + 4 : at + 4 + size // 8]
        if body[at : at + 4] != _DESTINATION_OF[version]:
            packed = netlink.attributes(body[_HEADER.size :])[_DESTINATION]
        first = int.from_bytes(packed, "big")
    return version, first, first | ((1 << (size - body[1])) - 1)


def destinations(body: bytes) -> Iterator[Network]:
    """Where a reported route leads to; nothing where `span` tells nothing."""
    if len(body) >= _HEADER.size and (found := span(body)) is not None:
        version, first, _ = found
        kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network  # noqa: PLR2004 - the IP version
        yield kind((first, body[1]))


def of(reply: netlink.Reply) -> Report | None:
    """The report in an answer of type NEW; None for other families and for cache entries."""
    family, length, _, _, table, protocol, scope, kind, flags = _HEADER.unpack_from(reply.body)
    if family not in _ANYWHERE or flags & _CLONED:
        return None
    found = netlink.attributes(reply.body[_HEADER.size :])
    packed = found.get(_DESTINATION)
    gateway = found.get(_GATEWAY)
    return Report(
        destination=ipaddress.ip_network((packed, length) if packed else _ANYWHERE[family]),
        gateway=ipaddress.ip_address(gateway) if gateway else None,
        index=netlink.to_int(found.get(_OIF, b"")),
        table=netlink.to_int(found[_TABLE]) if _TABLE in found else table,
        metric=netlink.to_int(found.get(_PRIORITY, b"")),
        protocol=protocol,
        kind=kind,
        scope=scope,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One of the links that a route leads over. `is_direct`: not to a gateway there."""

    index: int
    is_direct: bool


def hops(reply: netlink.Reply) -> tuple[Hop, ...]:
    """Those of a reported route: one, or several; none where it refuses."""
    found = netlink.attributes(reply.body[_HEADER.size :])
    if several := found.get(_SEVERAL):
        return tuple(_several(several))
    if _OIF in found:
        return (_hop(netlink.to_int(found[_OIF]), found),)
    return ()


def _several(packed: bytes) -> Iterator[Hop]:
    while len(packed) >= _HOP.size:
        length, _, _, index = _HOP.unpack_from(packed)
        if length < _HOP.size:
            return
        yield _hop(index, netlink.attributes(packed[_HOP.size : length]))
        packed = packed[length + -length % 4 :]


def _hop(index: int, found: Mapping[int, bytes]) -> Hop:
    return Hop(index=index, is_direct=_GATEWAY not in found and _VIA not in found)


def link_of(body: bytes, makers: Collection[int]) -> int:
    """The link of a reported route if one of the protocols `makers` made it; else 0, cheaply."""
    if len(body) < _HEADER.size or not is_by(body, makers):
        return 0
    return netlink.to_int(netlink.attributes(body[_HEADER.size :]).get(_OIF, b""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A route over one link, as it is asked for: unicast, in the table `local` one to ourselves."""

    destination: Network
    index: int
    gateway: Address | None
    table: int
    metric: int
    protocol: int
    source: Address | None = None


def add(entry: Entry, rival: int = netlink.EXCL) -> netlink.Message:
    """Makes the route; `rival` says what becomes of one with the same prefix and metric.

    EXCL: it is an error (EEXIST). REPLACE: it goes. APPEND: it stays and comes first, and only the
    very same route is an error.
    """
    is_local = entry.table == _LOCAL_TABLE
    scope = _UNIVERSE
    if isinstance(entry.destination, ipaddress.IPv4Network) and entry.gateway is None:
        scope = _HOST_SCOPE if is_local else LINK_SCOPE
    kind = LOCAL if is_local else UNICAST
    return netlink.Message(NEW, netlink.CREATE | rival, _body(entry, scope, kind))


def delete(entry: Entry) -> netlink.Message:
    """Removes the route that has all of this."""
    return netlink.Message(DELETE, 0, _body(entry, _NOWHERE, _UNSPECIFIED))


def _body(entry: Entry, scope: int, kind: int) -> bytes:
    prefix = entry.destination.prefixlen
    family = _FAMILY[entry.destination.version]
    small = entry.table if entry.table < _SMALL_TABLE else 0
    header = _HEADER.pack(family, prefix, 0, 0, small, entry.protocol, scope, kind, 0)
    parts = [header, netlink.u32(_TABLE, entry.table), netlink.u32(_OIF, entry.index)]
    if prefix:
        parts.append(netlink.attribute(_DESTINATION, entry.destination.network_address.packed))
    if entry.gateway:
        parts.append(netlink.attribute(_GATEWAY, entry.gateway.packed))
    if entry.source:
        parts.append(netlink.attribute(_SOURCE, entry.source.packed))
    if entry.metric:
        parts.append(netlink.u32(_PRIORITY, entry.metric))
    return b"".join(parts)

"""Virtual addresses as local ones, without being addresses: routes `local VIP dev lo src HOME`.

With such a route a sandbox that is itself a backend reaches itself through IPVS, pings are answered
by its own kernel, and the source of its packets stays its address on the service's network; nobody
answers ARP or neighbour solicitations for it (arp_ignore=1). Ours carry their own protocol number.
"""

import functools
import ipaddress
import socket
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from sdd.linux import netlink
from sdd.model.network import IPAddress

PROTOCOL = 93  # rtm_protocol: not in use by any daemon iproute2 lists in rt_protos
_NEW, _DELETE, _GET = 24, 25, 26
_TABLE_LOCAL, _TABLE_MAIN = 255, 254
_SCOPE_HOST = 254
_TYPE_LOCAL = 2
_DESTINATION, _DEVICE, _SOURCE = 1, 4, 7
_FIB_MATCH = 0x3000  # RTM_F_FIB_MATCH, RTM_F_LOOKUP_TABLE: the route itself and its table
_HEADER = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_AF = MappingProxyType({4: 2, 6: 10})
_FAMILIES: Mapping[int, type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]]
_FAMILIES = MappingProxyType({2: ipaddress.IPv4Address, 10: ipaddress.IPv6Address})
_WIDTHS = MappingProxyType({2: 4, 10: 16})  # bytes of an address
_HEADS = MappingProxyType(
    {family: struct.pack("=HH", 4 + width, _DESTINATION) for family, width in _WIDTHS.items()}
)
_ADDRESS_AT = _HEADER.size + 8 + 4  # behind the table's number and the address's own head

Routes = Mapping[IPAddress, IPAddress | None]  # virtual address → source, None when not set


def read(connection: netlink.Connection) -> dict[IPAddress, IPAddress | None]:
    """Our routes in the namespace of `connection`, a `netlink.ROUTE` one."""
    bodies = (_HEADER.pack(family, 0, 0, 0, _TABLE_LOCAL, 0, 0, 0, 0) for family in _AF.values())
    return dict(_found(reply for body in bodies for reply in connection.dump(_GET, body)))


def _found(
    replies: Iterable[netlink.Reply], tables: Collection[int] = (_TABLE_LOCAL,)
) -> Iterator[tuple[IPAddress, IPAddress | None]]:
    """Our routes among those listed."""
    known: dict[object, IPAddress | None] = {}  # thousands are told alike, but for the address
    for reply in replies:
        header = _HEADER.unpack_from(reply.body)
        if (header[5], header[7]) != (PROTOCOL, _TYPE_LOCAL) or header[4] not in tables:
            continue
        before, vip, after = _parted(reply.body, header[0])
        if before.endswith(_HEADS[header[0]]) and (before, after) in known:
            yield _FAMILIES[header[0]](vip), known[before, after]
            continue
        attributes = netlink.attributes(reply.body[_HEADER.size :])
        source = attributes.get(_SOURCE)
        found = None if source is None else ipaddress.ip_address(source)
        known[before, after] = found
        yield ipaddress.ip_address(attributes[_DESTINATION]), found


def _parted(body: bytes, family: int) -> tuple[bytes, bytes, bytes]:
    """A route's body before, of and after its address, where the kernel puts that mostly."""
    end = _ADDRESS_AT + _WIDTHS[family]
    return body[:_ADDRESS_AT], body[_ADDRESS_AT:end], body[end:]


def asked(connection: netlink.Connection, vips: Iterable[IPAddress]) -> Routes:
    """Those of `read` that lead to `vips`, each looked up as a packet would."""
    results = connection.request(
        netlink.Message(
            _GET,
            0,
            _HEADER.pack(_AF[vip.version], vip.max_prefixlen, 0, 0, 0, 0, 0, 0, _FIB_MATCH)
            + netlink.attribute(_DESTINATION, vip.packed),
        )
        for vip in vips
    )
    replies = (reply for result in results for reply in result.replies)
    # Where no rules were added, the kernel keeps both tables as one and names it by the other.
    return dict(_found(replies, (_TABLE_LOCAL, _TABLE_MAIN)))


def add(connection: netlink.Connection, routes: Routes) -> dict[IPAddress, netlink.Result]:
    """Make or correct `routes`; the result of each."""
    device = socket.if_nametoindex("lo")
    flags = netlink.CREATE | netlink.REPLACE
    results = connection.request(
        _message(_NEW, flags, vip, source, device) for vip, source in routes.items()
    )
    return dict(zip(routes, results, strict=True))


def remove(connection: netlink.Connection, vips: Iterable[IPAddress]) -> None:
    """Take the routes of `vips` away; absent is fine."""
    device = socket.if_nametoindex("lo")
    connection.request(_message(_DELETE, 0, vip, None, device) for vip in vips)


def _message(
    kind: int, flags: int, vip: IPAddress, source: IPAddress | None, device: int
) -> netlink.Message:
    before, after = _around(vip.version, source, device)
    return netlink.Message(kind, flags, b"".join((before, vip.packed, after)))


@functools.lru_cache(maxsize=1024)
def _around(version: int, source: IPAddress | None, device: int) -> tuple[bytes, bytes]:
    """What is before and after the address: a thousand of one sandbox have the same."""
    bits = 8 * _WIDTHS[_AF[version]]
    header = _HEADER.pack(
        _AF[version], bits, 0, 0, _TABLE_LOCAL, PROTOCOL, _SCOPE_HOST, _TYPE_LOCAL, 0
    )
    after = netlink.u32(_DEVICE, device)
    if source is not None:
        after += netlink.attribute(_SOURCE, source.packed)
    return header + _HEADS[_AF[version]], after

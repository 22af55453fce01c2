"""Virtual addresses as local ones, without being addresses: routes `local VIP dev lo src HOME`.

With such a route a sandbox that is itself a backend reaches itself through IPVS, pings are answered
by its own kernel, and the source of its packets stays its address on the service's network; nobody
answers ARP or neighbour solicitations for it (arp_ignore=1). Ours carry their own protocol number.
"""

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

Routes = Mapping[IPAddress, IPAddress | None]  # virtual address → source, None when not set


def read(connection: netlink.Connection) -> dict[IPAddress, IPAddress | None]:
    """Our routes in the namespace of `connection`, a `netlink.ROUTE` one."""
    bodies = (_HEADER.pack(family, 0, 0, 0, _TABLE_LOCAL, 0, 0, 0, 0) for family in _AF.values())
    return dict(_found(reply for body in bodies for reply in connection.dump(_GET, body)))


def _found(
    replies: Iterable[netlink.Reply], tables: Collection[int] = (_TABLE_LOCAL,)
) -> Iterator[tuple[IPAddress, IPAddress | None]]:
    """Our routes among those listed."""
    for reply in replies:
        header = _HEADER.unpack_from(reply.body)
        if (header[5], header[7]) != (PROTOCOL, _TYPE_LOCAL) or header[4] not in tables:
            continue
        attributes = netlink.attributes(reply.body[_HEADER.size :])
        source = attributes.get(_SOURCE)
        yield (
            ipaddress.ip_address(attributes[_DESTINATION]),
            None if source is None else ipaddress.ip_address(source),
        )


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
    results = connection.request(
        _message(_NEW, netlink.CREATE | netlink.REPLACE, vip, source, device)
        for vip, source in routes.items()
    )
    return dict(zip(routes, results, strict=True))


def remove(connection: netlink.Connection, vips: Iterable[IPAddress]) -> None:
    """Take the routes of `vips` away; absent is fine."""
    device = socket.if_nametoindex("lo")
    connection.request(_message(_DELETE, 0, vip, None, device) for vip in vips)


def _message(
    kind: int, flags: int, vip: IPAddress, source: IPAddress | None, device: int
) -> netlink.Message:
    header = _HEADER.pack(
        _AF[vip.version],
        vip.max_prefixlen,
        0,
        0,
        _TABLE_LOCAL,
        PROTOCOL,
        _SCOPE_HOST,
        _TYPE_LOCAL,
        0,
    )
    body = netlink.attribute(_DESTINATION, vip.packed) + netlink.u32(_DEVICE, device)
    if source is not None:
        body += netlink.attribute(_SOURCE, source.packed)
    return netlink.Message(kind, flags, header + body)

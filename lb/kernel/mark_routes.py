"""The rules of `ip rule` and the tables they lead to: marked answers go back to their node.

One rule and one route per IP version and ingress sandbox; for versions in which the sandbox has no
way out, one more rule behind all others. Towards the ingress sandboxes themselves, who are on the
link, one rule and one route per IP version give the address to answer from: a socket that belongs
to no address takes that of its route, and the translation knows the answer by it. Ours carry their
own protocol number. Format: include/uapi/linux/fib_rules.h, rtnetlink.h.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from lb.back import BASE, MASK, Back
from sdd.linux import netlink
from sdd.model.network import IPNetwork

PROTOCOL = 94  # rtm_protocol: not in use by any daemon iproute2 lists in rt_protos
NEAR_TABLE = BASE  # no ingress sandbox's: marks end in what is a host's part of an address
MARKED = 24000  # before the main table (32766): the client may be a neighbour
BESIDE = 24001  # also before the main table, which has the link's own route
LAST = 33000  # behind it, where nothing else is found
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_RULE, _DELETE_RULE, _GET_RULE = 32, 33, 34
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_RULE = struct.Struct("=BBBBBBBBI")  # struct fib_rule_hdr
_TO_TABLE = 1  # FR_ACT_TO_TBL
_UNICAST = 1  # RTN_UNICAST
_LINK_SCOPE = 253  # RT_SCOPE_LINK
_ROUTE_TO, _OIF, _GATEWAY, _SOURCE, _ROUTE_TABLE = 1, 4, 5, 7, 15  # RTA_…
_RULE_TO = 1  # FRA_DST
_PRIORITY, _FWMARK, _RULE_TABLE, _FWMASK, _RULE_PROTOCOL = 6, 10, 15, 16, 21  # FRA_…
_WHOLE = 0xFFFFFFFF
_AF = MappingProxyType({4: socket.AF_INET, 6: socket.AF_INET6})
_VERSION = MappingProxyType({int(family): version for version, family in _AF.items()})


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """Packets with `mark` (0: all) to `to` (None: anywhere) ask `table`."""

    version: int
    priority: int
    mark: int
    table: int
    to: IPNetwork | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The default route of a table; `index` is the number of its link."""

    table: int
    gateway: IPv4Address | IPv6Address
    index: int


@dataclass(frozen=True, slots=True)
class Near:
    """What is on the link itself, and the address to answer it from."""

    to: IPNetwork
    source: IPv4Address | IPv6Address
    index: int


Ours = Rule | Route | Near


def rules(back: Back) -> frozenset[Rule]:
    """What `ip rule` should have."""
    marked = {
        Rule(each.version, MARKED, node.mark, node.mark)
        for node in back.nodes
        for each in node.gateways
    }
    near = {Rule(each.clients.version, BESIDE, 0, NEAR_TABLE, each.clients) for each in back.beside}
    last = {Rule(version, LAST, 0, back.nodes[0].mark) for version in back.lost if back.nodes}
    return frozenset(marked | near | last)


def routes(back: Back, index: int) -> frozenset[Route | Near]:
    """What the tables should have; `index` is the number of the link."""
    marked = (Route(node.mark, each, index) for node in back.nodes for each in node.gateways)
    near = (Near(each.clients, each.address, index) for each in back.beside)
    return frozenset((*marked, *near))


def read_rules(connection: netlink.Connection) -> frozenset[Rule]:
    """Ours, of both IP versions; `connection` is a `netlink.ROUTE` one."""
    return frozenset(_rules(connection))


def read_routes(connection: netlink.Connection) -> frozenset[Route | Near]:
    """Ours, of both IP versions; `connection` is a strict one."""
    return frozenset(_routes(connection))


def change(
    connection: netlink.Connection,
    gone: Iterable[Ours],
    come: Iterable[Ours],
) -> Iterator[tuple[Ours, netlink.Result]]:
    """Takes `gone` away, absent is fine, then makes `come`; what of it was refused."""
    connection.request(_message(each, is_new=False) for each in gone)
    wanted = tuple(come)
    results = connection.request(_message(each, is_new=True) for each in wanted)
    for each, result in zip(wanted, results, strict=True):
        if result.error:
            yield each, result


# --- reading ------------------------------------------------------------------------------------


def _rules(connection: netlink.Connection) -> Iterator[Rule]:
    for version, family in _AF.items():
        body = _RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        for reply in connection.dump(_GET_RULE, body):
            length = _RULE.unpack_from(reply.body)[1]
            found = netlink.attributes(reply.body[_RULE.size :])
            if netlink.to_int(found.get(_RULE_PROTOCOL, b"")) == PROTOCOL:
                yield Rule(
                    version,
                    netlink.to_int(found.get(_PRIORITY, b"")),
                    netlink.to_int(found.get(_FWMARK, b"")),
                    netlink.to_int(found.get(_RULE_TABLE, b"")),
                    _network(found[_RULE_TO], length) if _RULE_TO in found else None,
                )


def _routes(connection: netlink.Connection) -> Iterator[Route | Near]:
    for family in _AF.values():
        body = _ROUTE.pack(family, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
        for reply in connection.dump(_GET_ROUTE, body):
            header = _ROUTE.unpack_from(reply.body)
            found = netlink.attributes(reply.body[_ROUTE.size :])
            table = netlink.to_int(found.get(_ROUTE_TABLE, b""))
            if (header[0], header[5]) == (family, PROTOCOL) and table & MASK == BASE:
                yield from _route_of(header[1], table, found)


def _route_of(length: int, table: int, found: Mapping[int, bytes]) -> Iterator[Route | Near]:
    index = netlink.to_int(found.get(_OIF, b""))
    if not length and _GATEWAY in found:
        yield Route(table, ipaddress.ip_address(found[_GATEWAY]), index)
    elif table == NEAR_TABLE and {_ROUTE_TO, _SOURCE} <= found.keys():
        source = ipaddress.ip_address(found[_SOURCE])
        yield Near(_network(found[_ROUTE_TO], length), source, index)


def _network(raw: bytes, length: int) -> IPNetwork:
    return ipaddress.ip_network((raw, length))


# --- writing ------------------------------------------------------------------------------------


def _message(of: Ours, *, is_new: bool) -> netlink.Message:
    match of:
        case Rule():
            flags = netlink.CREATE | netlink.EXCL if is_new else 0
            return netlink.Message(_NEW_RULE if is_new else _DELETE_RULE, flags, _rule(of))
        case Route():
            body = _route(of)
        case Near():
            body = _near(of)
    # The tables are ours: what `ip route replace` put in the place of ours makes room again.
    flags = netlink.CREATE | netlink.REPLACE if is_new else 0
    return netlink.Message(_NEW_ROUTE if is_new else _DELETE_ROUTE, flags, body)


def _rule(of: Rule) -> bytes:
    length = of.to.prefixlen if of.to else 0
    header = _RULE.pack(_AF[of.version], length, 0, 0, 0, 0, 0, _TO_TABLE, 0)
    marked = netlink.u32(_FWMARK, of.mark) + netlink.u32(_FWMASK, _WHOLE) if of.mark else b""
    return b"".join(
        (
            header,
            netlink.attribute(_RULE_TO, of.to.network_address.packed) if of.to else b"",
            netlink.u32(_PRIORITY, of.priority),
            marked,
            netlink.u32(_RULE_TABLE, of.table),
            netlink.u8(_RULE_PROTOCOL, PROTOCOL),
        )
    )


def _route(of: Route) -> bytes:
    header = _ROUTE.pack(_AF[of.gateway.version], 0, 0, 0, 0, PROTOCOL, 0, _UNICAST, 0)
    return b"".join(
        (
            header,
            netlink.u32(_ROUTE_TABLE, of.table),
            netlink.u32(_OIF, of.index),
            netlink.attribute(_GATEWAY, of.gateway.packed),
        )
    )


def _near(of: Near) -> bytes:
    family, length = _AF[of.to.version], of.to.prefixlen
    header = _ROUTE.pack(family, length, 0, 0, 0, PROTOCOL, _LINK_SCOPE, _UNICAST, 0)
    return b"".join(
        (
            header,
            netlink.attribute(_ROUTE_TO, of.to.network_address.packed),
            netlink.u32(_ROUTE_TABLE, NEAR_TABLE),
            netlink.u32(_OIF, of.index),
            netlink.attribute(_SOURCE, of.source.packed),
        )
    )

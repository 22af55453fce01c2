"""The rules of `ip rule` and the tables they lead to: marked answers go back to their node.

One rule and one route per IP version and ingress sandbox; for versions in which the sandbox has no
way out, one more rule behind all others. Ours carry their own protocol number. Format:
include/uapi/linux/fib_rules.h, rtnetlink.h.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from lb.back import BASE, MASK, Back
from sdd.linux import netlink

PROTOCOL = 94  # rtm_protocol: not in use by any daemon iproute2 lists in rt_protos
MARKED = 24000  # before the main table (32766): the client may be a neighbour
LAST = 33000  # behind it, where nothing else is found
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_RULE, _DELETE_RULE, _GET_RULE = 32, 33, 34
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_RULE = struct.Struct("=BBBBBBBBI")  # struct fib_rule_hdr
_TO_TABLE = 1  # FR_ACT_TO_TBL
_UNICAST = 1  # RTN_UNICAST
_OIF, _GATEWAY, _ROUTE_TABLE = 4, 5, 15  # RTA_…
_PRIORITY, _FWMARK, _RULE_TABLE, _FWMASK, _RULE_PROTOCOL = 6, 10, 15, 16, 21  # FRA_…
_WHOLE = 0xFFFFFFFF
_AF = MappingProxyType({4: socket.AF_INET, 6: socket.AF_INET6})
_VERSION = MappingProxyType({int(family): version for version, family in _AF.items()})


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """Packets with `mark` (0: all) ask `table`."""

    version: int
    priority: int
    mark: int
    table: int


@dataclass(frozen=True, slots=True)
class Route:
    """The default route of a table; `index` is the number of its link."""

    table: int
    gateway: IPv4Address | IPv6Address
    index: int


def rules(back: Back) -> frozenset[Rule]:
    """What `ip rule` should have."""
    marked = {
        Rule(each.version, MARKED, node.mark, node.mark)
        for node in back.nodes
        for each in node.gateways
    }
    last = {Rule(version, LAST, 0, back.nodes[0].mark) for version in back.lost if back.nodes}
    return frozenset(marked | last)


def routes(back: Back, index: int) -> frozenset[Route]:
    """What the tables should have; `index` is the number of the link."""
    return frozenset(Route(node.mark, each, index) for node in back.nodes for each in node.gateways)


def read_rules(connection: netlink.Connection) -> frozenset[Rule]:
    """Ours, of both IP versions; `connection` is a `netlink.ROUTE` one."""
    return frozenset(_rules(connection))


def read_routes(connection: netlink.Connection) -> frozenset[Route]:
    """Ours, of both IP versions; `connection` is a strict one."""
    return frozenset(_routes(connection))


def change(
    connection: netlink.Connection,
    gone: Iterable[Rule | Route],
    come: Iterable[Rule | Route],
) -> Iterator[tuple[Rule | Route, netlink.Result]]:
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
            found = netlink.attributes(reply.body[_RULE.size :])
            if netlink.to_int(found.get(_RULE_PROTOCOL, b"")) == PROTOCOL:
                yield Rule(
                    version,
                    netlink.to_int(found.get(_PRIORITY, b"")),
                    netlink.to_int(found.get(_FWMARK, b"")),
                    netlink.to_int(found.get(_RULE_TABLE, b"")),
                )


def _routes(connection: netlink.Connection) -> Iterator[Route]:
    for family in _AF.values():
        body = _ROUTE.pack(family, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
        for reply in connection.dump(_GET_ROUTE, body):
            header = _ROUTE.unpack_from(reply.body)
            found = netlink.attributes(reply.body[_ROUTE.size :])
            table = netlink.to_int(found.get(_ROUTE_TABLE, b""))
            is_ours = (header[0], header[1], header[5]) == (family, 0, PROTOCOL)
            if is_ours and table & MASK == BASE and _GATEWAY in found:
                gateway = ipaddress.ip_address(found[_GATEWAY])
                yield Route(table, gateway, netlink.to_int(found.get(_OIF, b"")))


# --- writing ------------------------------------------------------------------------------------


def _message(of: Rule | Route, *, is_new: bool) -> netlink.Message:
    flags = netlink.CREATE | netlink.EXCL if is_new else 0
    if isinstance(of, Rule):
        return netlink.Message(_NEW_RULE if is_new else _DELETE_RULE, flags, _rule(of))
    return netlink.Message(_NEW_ROUTE if is_new else _DELETE_ROUTE, flags, _route(of))


def _rule(of: Rule) -> bytes:
    header = _RULE.pack(_AF[of.version], 0, 0, 0, 0, 0, 0, _TO_TABLE, 0)
    marked = netlink.u32(_FWMARK, of.mark) + netlink.u32(_FWMASK, _WHOLE) if of.mark else b""
    return b"".join(
        (
            header,
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

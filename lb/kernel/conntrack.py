"""The connections of a namespace as conntrack keeps them: list those to some addresses, end some.

nftables chooses a backend at a connection's first packet and conntrack remembers the choice, so a
backend that left keeps its connections until they are forgotten here: the next packet of a UDP flow
then finds a living backend, that of a TCP connection a reset. Attributes:
include/uapi/linux/netfilter/nfnetlink_conntrack.h. The kernel lists only what is asked for where it
can (CTA_FILTER, Linux 5.8); an older one lists all, and what is not wanted is dropped here.
"""

import ipaddress
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sdd.linux import netlink
from sdd.model.network import IPAddress

TCP, UDP, SCTP = 6, 17, 132
_GET, _DELETE = ((1 << 8) | each for each in (1, 2))  # NFNL_SUBSYS_CTNETLINK
_ORIGINAL, _REPLY, _PROTOINFO, _ID, _FILTER = 1, 2, 4, 12, 25
_IP, _PROTOCOL = 1, 2  # CTA_TUPLE_IP, CTA_TUPLE_PROTO
_SOURCE, _DESTINATION = (1, 3), (2, 4)  # CTA_IP_V4_*, CTA_IP_V6_*
_NUMBER, _FROM, _TO = 1, 2, 3  # CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
_BY_SOURCE, _BY_DESTINATION, _BY_PROTOCOL = 1, 2, 8  # net/netfilter/nf_internals.h
_ESTABLISHED, _TIME_WAIT = 3, 7  # TCP_CONNTRACK_*
_HEADER = struct.Struct(">BBH")  # struct nfgenmsg
_ONE_BY_ONE = 8  # more addresses than these are looked for in one list of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One connection to `vip`, answered by `backend` (by `vip` itself when it is not translated).

    `port` and `backend_port` belong to them, `source_port` to the client; 0 for what has no ports.
    `key` is what the kernel needs to find it again. `is_over`: both ends closed it, and what is
    left only keeps its ports from being taken again too early.
    """

    protocol: int
    vip: IPv4Address | IPv6Address
    backend: IPv4Address | IPv6Address
    is_established: bool
    is_over: bool
    key: bytes
    port: int = 0
    backend_port: int = 0
    source_port: int = 0


def flows(connection: netlink.Connection, vips: Collection[IPAddress]) -> tuple[Flow, ...]:
    """The connections to any of `vips`; `connection` is a `netlink.NETFILTER` one."""
    wanted = {each.packed for each in vips}
    replies = _listed(connection, vips, _ORIGINAL, _DESTINATION[0], _BY_DESTINATION)
    return tuple(_flows(replies, lambda to: _address(to, _DESTINATION) in wanted))


def datagrams(connection: netlink.Connection, ports: Collection[int]) -> tuple[Flow, ...]:
    """The UDP flows to any of `ports`, whatever the address."""
    if not ports:
        return ()
    number = netlink.attribute(_NUMBER, bytes((UDP,)))
    tuple_ = netlink.nested(_ORIGINAL, netlink.nested(_PROTOCOL, number))
    wanted = tuple_ + _filter(_ORIGINAL, _BY_PROTOCOL)
    replies = [
        reply
        for family in (socket.AF_INET, socket.AF_INET6)
        for reply in connection.dump(_GET, _HEADER.pack(family, 0, 0) + wanted)
    ]
    return tuple(_flows(replies, lambda to: _protocol(to) == UDP and _port(to, _TO) in ports))


def behind(connection: netlink.Connection, backends: Collection[IPAddress]) -> tuple[Flow, ...]:
    """The connections of any protocol that any of `backends` answers under another address."""
    wanted = {each.packed for each in backends}
    replies = _listed(connection, backends, _REPLY, _SOURCE[0], _BY_SOURCE)
    return tuple(
        each
        for each in _flows(replies, lambda _: True)
        if each.backend != each.vip and each.backend.packed in wanted
    )


def forget(connection: netlink.Connection, those: Iterable[Flow]) -> None:
    """End these connections; one that ended by itself meanwhile is fine."""
    connection.request(netlink.Message(_DELETE, 0, each.key) for each in those)


def _listed(
    connection: netlink.Connection,
    addresses: Collection[IPAddress],
    direction: int,
    which: int,
    flag: int,
) -> Iterator[netlink.Reply]:
    """At least what has any of `addresses` as its source or destination in `direction`."""
    fours = {each.packed for each in addresses if each.version == 4}  # noqa: PLR2004 - IP
    # Of IPv6 addresses the kernel lists all but those asked for (ctnetlink_filter_match_tuple
    # takes ipv6_addr_cmp for equality), so it is asked for all of that version.
    if len(fours) < len({each.packed for each in addresses}):
        yield from connection.dump(_GET, _HEADER.pack(socket.AF_INET6, 0, 0))
    four = _HEADER.pack(socket.AF_INET, 0, 0)
    if len(fours) > _ONE_BY_ONE:
        yield from connection.dump(_GET, four)
        return
    for each in fours:
        tuple_ = netlink.nested(direction, netlink.nested(_IP, netlink.attribute(which, each)))
        yield from connection.dump(_GET, four + tuple_ + _filter(direction, flag))


def _filter(direction: int, flag: int) -> bytes:
    # CTA_FILTER_ORIG_FLAGS and CTA_FILTER_REPLY_FLAGS have the numbers of the directions.
    return netlink.nested(_FILTER, netlink.attribute(direction, struct.pack("=I", flag)))


def _flows(
    replies: Iterable[netlink.Reply], is_wanted: Callable[[dict[int, bytes]], bool]
) -> Iterator[Flow]:
    for reply in replies:
        found = netlink.attributes(reply.body[_HEADER.size :])
        original = netlink.attributes(found.get(_ORIGINAL, b""))
        if not is_wanted(original):
            continue
        answering = netlink.attributes(found.get(_REPLY, b""))
        protocol = _protocol(original)
        yield Flow(
            protocol=protocol,
            vip=ipaddress.ip_address(_address(original, _DESTINATION)),
            backend=ipaddress.ip_address(_address(answering, _SOURCE)),
            is_established=_state(found, protocol) == _ESTABLISHED,
            is_over=_state(found, protocol) == _TIME_WAIT,
            key=_key(reply.body[: _HEADER.size], found),
            port=_port(original, _TO),
            backend_port=_port(answering, _FROM),
            source_port=_port(original, _FROM),
        )


def _protocol(direction: dict[int, bytes]) -> int:
    return netlink.attributes(direction.get(_PROTOCOL, b"")).get(_NUMBER, b"\0")[0]


def _port(direction: dict[int, bytes], which: int) -> int:
    return int.from_bytes(netlink.attributes(direction.get(_PROTOCOL, b"")).get(which, b""), "big")


def _address(direction: dict[int, bytes], which: tuple[int, int]) -> bytes:
    inner = netlink.attributes(direction.get(_IP, b""))
    return inner.get(which[0]) or inner.get(which[1], b"")


def _state(found: dict[int, bytes], protocol: int) -> int:
    """TCP_CONNTRACK_*; 0 of another protocol."""
    if protocol != TCP:
        return 0
    tcp = netlink.attributes(netlink.attributes(found.get(_PROTOINFO, b"")).get(1, b""))
    return tcp.get(1, b"\0")[0]


def _key(header: bytes, found: dict[int, bytes]) -> bytes:
    # The id too: the same ports may meanwhile be another connection.
    original = netlink.nested(_ORIGINAL, found[_ORIGINAL])
    return header + original + netlink.attribute(_ID, found.get(_ID, b"\0\0\0\0"))

"""The connections of a namespace as conntrack keeps them: list those to some addresses, end some.

nftables chooses a backend at a connection's first packet and conntrack remembers the choice, so a
backend that left keeps its connections until they are forgotten here: the next packet of a UDP flow
then finds a living backend, that of a TCP connection a reset. Attributes:
include/uapi/linux/netfilter/nfnetlink_conntrack.h.
"""

import ipaddress
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sdd.linux import netlink
from sdd.model.network import IPAddress

TCP, UDP, SCTP = 6, 17, 132
_GET, _DELETE = ((1 << 8) | each for each in (1, 2))  # NFNL_SUBSYS_CTNETLINK
_ORIGINAL, _REPLY, _PROTOINFO, _ID = 1, 2, 4, 12
_SOURCE, _DESTINATION = (1, 3), (2, 4)  # CTA_IP_V4_*, CTA_IP_V6_*
_FROM, _TO = 2, 3  # CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
_ESTABLISHED = 3  # TCP_CONNTRACK_ESTABLISHED
_HEADER = 4  # struct nfgenmsg


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One connection to `vip`, answered by `backend` (by `vip` itself when it is not translated).

    `port` and `backend_port` belong to them, `source_port` to the client; 0 for what has no ports.
    `key` is what the kernel needs to find it again.
    """

    protocol: int
    vip: IPv4Address | IPv6Address
    backend: IPv4Address | IPv6Address
    is_established: bool
    key: bytes
    port: int = 0
    backend_port: int = 0
    source_port: int = 0


def flows(connection: netlink.Connection, vips: Collection[IPAddress]) -> tuple[Flow, ...]:
    """The connections to any of `vips`; `connection` is a `netlink.NETFILTER` one."""
    wanted = {each.packed for each in vips}
    if not wanted:
        return ()
    replies = connection.dump(_GET, struct.pack(">BBH", 0, 0, 0))
    return tuple(_flows(replies, lambda to: _address(to, _DESTINATION) in wanted))


def datagrams(connection: netlink.Connection, ports: Collection[int]) -> tuple[Flow, ...]:
    """The UDP flows to any of `ports`, whatever the address."""
    if not ports:
        return ()
    replies = connection.dump(_GET, struct.pack(">BBH", 0, 0, 0))
    return tuple(_flows(replies, lambda to: _protocol(to) == UDP and _port(to, _TO) in ports))


def behind(connection: netlink.Connection, backends: Collection[IPAddress]) -> tuple[Flow, ...]:
    """The connections of any protocol that any of `backends` answers under another address."""
    wanted = {each.packed for each in backends}
    replies = connection.dump(_GET, struct.pack(">BBH", 0, 0, 0)) if wanted else ()
    return tuple(
        each
        for each in _flows(replies, lambda _: True)
        if each.backend != each.vip and each.backend.packed in wanted
    )


def forget(connection: netlink.Connection, those: Iterable[Flow]) -> None:
    """End these connections; one that ended by itself meanwhile is fine."""
    connection.request(netlink.Message(_DELETE, 0, each.key) for each in those)


def _flows(
    replies: Iterable[netlink.Reply], is_wanted: Callable[[dict[int, bytes]], bool]
) -> Iterator[Flow]:
    for reply in replies:
        found = netlink.attributes(reply.body[_HEADER:])
        original = netlink.attributes(found.get(_ORIGINAL, b""))
        if not is_wanted(original):
            continue
        answering = netlink.attributes(found.get(_REPLY, b""))
        protocol = _protocol(original)
        yield Flow(
            protocol=protocol,
            vip=ipaddress.ip_address(_address(original, _DESTINATION)),
            backend=ipaddress.ip_address(_address(answering, _SOURCE)),
            is_established=_is_established(found, protocol),
            key=_key(reply.body[:_HEADER], found),
            port=_port(original, _TO),
            backend_port=_port(answering, _FROM),
            source_port=_port(original, _FROM),
        )


def _protocol(direction: dict[int, bytes]) -> int:
    return netlink.attributes(direction.get(2, b"")).get(1, b"\0")[0]


def _port(direction: dict[int, bytes], which: int) -> int:
    return int.from_bytes(netlink.attributes(direction.get(2, b"")).get(which, b""), "big")


def _address(direction: dict[int, bytes], which: tuple[int, int]) -> bytes:
    inner = netlink.attributes(direction.get(1, b""))
    return inner.get(which[0]) or inner.get(which[1], b"")


def _is_established(found: dict[int, bytes], protocol: int) -> bool:
    if protocol != TCP:
        return False
    tcp = netlink.attributes(netlink.attributes(found.get(_PROTOINFO, b"")).get(1, b""))
    return tcp.get(1, b"\0")[0] == _ESTABLISHED


def _key(header: bytes, found: dict[int, bytes]) -> bytes:
    # The id too: the same ports may meanwhile be another connection.
    original = netlink.nested(_ORIGINAL, found[_ORIGINAL])
    return header + original + netlink.attribute(_ID, found.get(_ID, b"\0\0\0\0"))

"""The connections of a namespace as conntrack keeps them: list those to some addresses, end some.

nftables chooses a backend at a connection's first packet and conntrack remembers the choice, so a
backend that left keeps its connections until they are forgotten here: the next packet of a UDP flow
then finds a living backend, that of a TCP connection a reset. Attributes:
include/uapi/linux/netfilter/nfnetlink_conntrack.h.
"""

import ipaddress
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sdd.linux import netlink
from sdd.model.network import IPAddress

TCP, UDP, SCTP = 6, 17, 132
_GET, _DELETE = ((1 << 8) | each for each in (1, 2))  # NFNL_SUBSYS_CTNETLINK
_ORIGINAL, _REPLY, _PROTOINFO, _ID = 1, 2, 4, 12
_SOURCE, _DESTINATION = (1, 3), (2, 4)  # CTA_IP_V4_*, CTA_IP_V6_*
_ESTABLISHED = 3  # TCP_CONNTRACK_ESTABLISHED
_HEADER = 4  # struct nfgenmsg


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One connection to `vip`, answered by `backend` (by `vip` itself when it is not translated).

    `key` is what the kernel needs to find it again.
    """

    protocol: int
    vip: IPv4Address | IPv6Address
    backend: IPv4Address | IPv6Address
    is_established: bool
    key: bytes


def flows(connection: netlink.Connection, vips: Collection[IPAddress]) -> tuple[Flow, ...]:
    """The connections to any of `vips`; `connection` is a `netlink.NETFILTER` one."""
    wanted = {each.packed for each in vips}
    if not wanted:
        return ()
    replies = connection.dump(_GET, struct.pack(">BBH", 0, 0, 0))
    return tuple(_flows(replies, wanted))


def forget(connection: netlink.Connection, those: Iterable[Flow]) -> None:
    """End these connections; one that ended by itself meanwhile is fine."""
    connection.request(netlink.Message(_DELETE, 0, each.key) for each in those)


def _flows(replies: Iterable[netlink.Reply], wanted: Collection[bytes]) -> Iterator[Flow]:
    for reply in replies:
        found = netlink.attributes(reply.body[_HEADER:])
        original = netlink.attributes(found.get(_ORIGINAL, b""))
        destination = _address(original, _DESTINATION)
        if destination not in wanted:
            continue
        answering = _address(netlink.attributes(found.get(_REPLY, b"")), _SOURCE)
        protocol = netlink.attributes(original.get(2, b"")).get(1, b"\0")[0]
        yield Flow(
            protocol=protocol,
            vip=ipaddress.ip_address(destination),
            backend=ipaddress.ip_address(answering),
            is_established=_is_established(found, protocol),
            key=_key(reply.body[:_HEADER], found),
        )


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

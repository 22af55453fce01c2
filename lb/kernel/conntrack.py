"""The connections of a namespace as conntrack keeps them: list those to some addresses, end some.

nftables chooses a backend at a connection's first packet and conntrack remembers the choice, so a
backend that left keeps its connections until they are forgotten here: the next packet of a UDP flow
then finds a living backend, that of a TCP connection a reset. Attributes:
include/uapi/linux/netfilter/nfnetlink_conntrack.h. The kernel lists only what is asked for where it
can (CTA_FILTER, Linux 5.8); an older one lists all, and what is not wanted is dropped here.
A busy client leaves tens of thousands of connections in TIME_WAIT, so each costs one `unpack` of
what the kernel always writes in the same order (ctnetlink_fill_info); what looks different, such
as pings, is read attribute by attribute.
"""

import collections
import ipaddress
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from lb.passage import Passed
from sdd.linux import netlink
from sdd.model.network import IPAddress

TCP, UDP, SCTP = 6, 17, 132
_GET, _DELETE, _STATS = ((1 << 8) | each for each in (1, 2, 5))  # NFNL_SUBSYS_CTNETLINK
_ENTRIES = 1  # CTA_STATS_GLOBAL_ENTRIES
_ORIGINAL, _REPLY, _PROTOINFO, _ID, _FILTER = 1, 2, 4, 12, 25
_IP, _PROTOCOL = 1, 2  # CTA_TUPLE_IP, CTA_TUPLE_PROTO
_SOURCE, _DESTINATION = (1, 3), (2, 4)  # CTA_IP_V4_*, CTA_IP_V6_*
_NUMBER, _FROM, _TO = 1, 2, 3  # CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
_BY_SOURCE, _BY_DESTINATION, _BY_PROTOCOL = 1, 2, 8  # net/netfilter/nf_internals.h
_TIME_WAIT = 7  # TCP_CONNTRACK_*
# While data may flow, if only one way: TCP established, FIN_WAIT, CLOSE_WAIT; SCTP established,
# its two SHUTDOWNs while data is still under way, and HEARTBEAT_SENT (SCTP_CONNTRACK_*).
_OPEN = frozenset({(TCP, 3), (TCP, 4), (TCP, 5), *((SCTP, state) for state in (4, 5, 6, 8))})
_HEADER = struct.Struct(">BBH")  # struct nfgenmsg
_ATTRIBUTE = struct.Struct("=HH")
# For each list the kernel goes through the table of all namespaces, however few are of this one:
# that takes milliseconds, as long as it takes to read so many.
_WALK = 1000
_ONE_BY_ONE = 8  # more addresses than these are looked for in one list of all


_TUPLE = "HH8x{0}s4x{0}s8xB7xH6xH2x"  # one direction of what has ports: addresses, number, ports
_BOTH = tuple(struct.Struct(f">4x{_TUPLE}{_TUPLE}".format(width)) for width in (4, 16))
_LENGTHS = tuple(struct.pack("=H", each.size // 2 - 2) for each in _BOTH)  # of a direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One live connection to `vip`, answered by `backend` (`vip` itself if it is not translated).

    `port` and `backend_port` belong to them, `source_port` to the client; 0 for what has no ports.
    `key` is what the kernel needs to find it again. It `is_open` from the handshake until both
    ends have closed it; datagrams and pings are not opened.
    """

    protocol: int
    vip: IPv4Address | IPv6Address
    backend: IPv4Address | IPv6Address
    key: bytes
    port: int = 0
    backend_port: int = 0
    source_port: int = 0
    is_open: bool = False


class Counted(NamedTuple):
    """Connections that are counted together."""

    protocol: int
    vip: IPAddress
    backend: IPAddress
    is_open: bool


class _Seen(NamedTuple):
    """A connection as bytes; `state` is TCP_CONNTRACK_* or SCTP_CONNTRACK_*, 0 of the others."""

    protocol: int
    vip: bytes
    backend: bytes
    source_port: int
    port: int
    backend_port: int
    state: int


def entries(connection: netlink.Connection) -> int | None:
    """How many connections the namespace has; None where the kernel does not tell."""
    (told,) = connection.request((netlink.Message(_STATS, 0, _HEADER.pack(0, 0, 0)),))
    for each in told.replies:
        counted = netlink.attributes(each.body[_HEADER.size :]).get(_ENTRIES)
        return None if counted is None else int.from_bytes(counted, "big")
    return None


def flows(connection: netlink.Connection, vips: Collection[IPAddress]) -> tuple[Flow, ...]:
    """The live connections to any of `vips`; `connection` is a `netlink.NETFILTER` one.

    Not those in TIME_WAIT: both ends closed them, and what is left only keeps their ports from
    being used again too early.
    """
    wanted = {each.packed for each in vips}
    replies = _listed(connection, vips, _ORIGINAL, _DESTINATION[0], _BY_DESTINATION)
    return tuple(_flow(reply, seen) for reply, seen in _live(replies) if seen.vip in wanted)


def counted(
    connection: netlink.Connection, vips: Collection[IPAddress]
) -> collections.Counter[Counted]:
    """How many connections there are to each of `vips` and its backends, in TIME_WAIT or not."""
    wanted = {each.packed for each in vips}
    replies = _listed(connection, vips, _ORIGINAL, _DESTINATION[0], _BY_DESTINATION)
    found = collections.Counter(
        (seen.protocol, seen.vip, seen.backend, _is_open(seen))
        for seen in map(_seen, replies)
        if seen.vip in wanted
    )
    result: collections.Counter[Counted] = collections.Counter()
    for (protocol, vip, backend, is_open), count in found.items():
        to, of = ipaddress.ip_address(vip), ipaddress.ip_address(backend)
        result[Counted(protocol, to, of, is_open)] = count
    return result


def datagrams(connection: netlink.Connection, ports: Collection[int]) -> tuple[Flow, ...]:
    """The UDP flows to any of `ports`, whatever the address."""
    if not ports or entries(connection) == 0:
        return ()
    number = netlink.attribute(_NUMBER, bytes((UDP,)))
    tuple_ = netlink.nested(_ORIGINAL, netlink.nested(_PROTOCOL, number))
    wanted = tuple_ + _filter(_ORIGINAL, _BY_PROTOCOL)
    replies = [
        reply
        for family in (socket.AF_INET, socket.AF_INET6)
        for reply in connection.dump(_GET, _HEADER.pack(family, 0, 0) + wanted)
    ]
    return tuple(
        _flow(reply, seen)
        for reply, seen in _live(replies)
        if seen.protocol == UDP and seen.port in ports
    )


def behind(connection: netlink.Connection, backends: Collection[IPAddress]) -> tuple[Flow, ...]:
    """The live connections that any of `backends` answers under another address."""
    wanted = {each.packed for each in backends}
    replies = _listed(connection, backends, _REPLY, _SOURCE[0], _BY_SOURCE)
    return tuple(
        _flow(reply, seen)
        for reply, seen in _live(replies)
        if seen.backend in wanted and seen.backend != seen.vip
    )


def passed(
    connection: netlink.Connection, to: IPAddress, protocol: int, client: tuple[IPAddress, int]
) -> Passed | None:
    """The connection or flow from `client`, its address and port, to `to`, if it is known."""
    source, source_port = client
    wanted = (protocol, to.packed, source_port)
    for reply in _listed(connection, (to,), _ORIGINAL, _DESTINATION[0], _BY_DESTINATION):
        seen = _seen(reply)
        if (seen.protocol, seen.vip, seen.source_port) != wanted:
            continue
        found = netlink.attributes(reply.body[_HEADER.size :])
        if _address(netlink.attributes(found[_ORIGINAL]), _SOURCE) == source.packed:
            seen_as = _address(netlink.attributes(found[_REPLY]), _DESTINATION)
            return Passed(ipaddress.ip_address(seen.backend), ipaddress.ip_address(seen_as))
    return None


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
    count = entries(connection) if addresses else 0
    if count == 0:
        return
    fours = {each.packed for each in addresses if each.version == 4}  # noqa: PLR2004 - IP
    has_six = len(fours) < len({each.packed for each in addresses})
    lists = len(fours) + has_six
    if lists > 1 and count is not None and count <= lists * _WALK:
        yield from connection.dump(_GET, _HEADER.pack(socket.AF_UNSPEC, 0, 0))
        return
    # Of IPv6 addresses the kernel lists all but those asked for (ctnetlink_filter_match_tuple
    # takes ipv6_addr_cmp for equality), so it is asked for all of that version.
    if has_six:
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


def _live(replies: Iterable[netlink.Reply]) -> Iterator[tuple[netlink.Reply, _Seen]]:
    for reply in replies:
        seen = _seen(reply)
        if (seen.protocol, seen.state) != (TCP, _TIME_WAIT):
            yield reply, seen


def _is_open(seen: _Seen) -> bool:
    return (seen.protocol, seen.state) in _OPEN


def _seen(reply: netlink.Reply) -> _Seen:
    body = reply.body
    is_six = body[0] == socket.AF_INET6
    both = _BOTH[is_six]
    length = _LENGTHS[is_six]
    half = both.size // 2
    if len(body) < both.size or body[4:6] != length or body[2 + half : 4 + half] != length:
        return _parsed(body)
    (_, _, _, vip, protocol, source_port, port, _, _, backend, _, _, backend_port, _) = (
        both.unpack_from(body)
    )
    state = _state(body, both.size) if protocol in (TCP, SCTP) else 0
    return _Seen(protocol, vip, backend, source_port, port, backend_port, state)


def _state(body: bytes, offset: int) -> int:
    """That of CTA_PROTOINFO_*_STATE, which is the first in the first of CTA_PROTOINFO."""
    while offset + 12 < len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if kind & 0x3FFF == _PROTOINFO:
            return body[offset + 12]
        offset += max(4, (length + 3) & ~3)
    return 0


def _parsed(body: bytes) -> _Seen:
    found = netlink.attributes(body[_HEADER.size :])
    original = netlink.attributes(found.get(_ORIGINAL, b""))
    answering = netlink.attributes(found.get(_REPLY, b""))
    return _Seen(
        protocol=_protocol(original),
        vip=_address(original, _DESTINATION),
        backend=_address(answering, _SOURCE),
        source_port=_port(original, _FROM),
        port=_port(original, _TO),
        backend_port=_port(answering, _FROM),
        state=0,
    )


def _flow(reply: netlink.Reply, seen: _Seen) -> Flow:
    found = netlink.attributes(reply.body[_HEADER.size :])
    return Flow(
        protocol=seen.protocol,
        vip=ipaddress.ip_address(seen.vip),
        backend=ipaddress.ip_address(seen.backend),
        key=_key(reply.body[: _HEADER.size], found),
        port=seen.port,
        backend_port=seen.backend_port,
        source_port=seen.source_port,
        is_open=_is_open(seen),
    )


def _protocol(direction: dict[int, bytes]) -> int:
    return netlink.attributes(direction.get(_PROTOCOL, b"")).get(_NUMBER, b"\0")[0]


def _port(direction: dict[int, bytes], which: int) -> int:
    number = netlink.attributes(direction.get(_PROTOCOL, b"")).get(which, b"")
    return int.from_bytes(number, "big")


def _address(direction: dict[int, bytes], which: tuple[int, int]) -> bytes:
    inner = netlink.attributes(direction.get(_IP, b""))
    return inner.get(which[0]) or inner.get(which[1], b"")


def _key(header: bytes, found: dict[int, bytes]) -> bytes:
    # The id too: the same ports may meanwhile be another connection.
    original = netlink.nested(_ORIGINAL, found[_ORIGINAL])
    return header + original + netlink.attribute(_ID, found.get(_ID, b"\0\0\0\0"))

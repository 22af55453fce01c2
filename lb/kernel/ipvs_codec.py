"""IPVS's generic netlink messages: values ↔ bytes, no sockets.

Only services by firewall mark are spoken: one forwards all ports of a virtual address. What other
codecs get wrong and this one minds (balancing.md §1): a mark service needs family and netmask, the
netmask of IPv6 is a prefix length, an edit needs the full entry, the default forwarding method is
direct routing. Attributes: include/uapi/linux/ip_vs.h.
"""

import ipaddress
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import NamedTuple

from sdd.linux import netlink
from sdd.model.network import IPAddress

FAMILY = "IPVS"
_CONTROL = 0x10  # GENL_ID_CTRL
_GET_FAMILY = 3
_VERSION = 1

(
    NEW_SERVICE,
    SET_SERVICE,
    DELETE_SERVICE,
    GET_SERVICE,
    NEW_BACKEND,
    SET_BACKEND,
    DELETE_BACKEND,
    GET_BACKEND,
) = range(1, 9)
_SET_CONFIG, _GET_CONFIG, _SET_INFO, _GET_INFO = 12, 13, 14, 15
_SERVICE, _BACKEND, _TCP, _TCP_FIN, _UDP = 1, 2, 4, 5, 6

PERSISTENT = 0x1
_HASHED = 0x2  # the kernel's own mark on every service it lists
FALLBACK = 0x8  # IP_VS_SVC_F_SCHED1: sh and mh pass over a backend that takes nothing
PORT = 0x10  # IP_VS_SVC_F_SCHED2: sh and mh hash the client's port too
MASQUERADE, TUNNEL, ROUTE = 0, 2, 3
FORWARDS = MappingProxyType({MASQUERADE: "Masq", 1: "Local", TUNNEL: "Tunnel", ROUTE: "Route"})
_AF = MappingProxyType({4: 2, 6: 10})
_VERSIONS = MappingProxyType({2: 4, 10: 6})
_FULL_MASK = MappingProxyType({4: b"\xff\xff\xff\xff", 6: struct.pack("=I", 128)})


class Key(NamedTuple):
    """A service by mark: one per IP version, 4 or 6."""

    version: int
    mark: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a service schedules; `timeout_s` of persistence, 0 without the flag.

    `netmask` is the kernel's: which clients persistence takes for one. Empty: each is for itself.
    """

    scheduler: str
    flags: int = 0
    timeout_s: int = 0
    netmask: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The kernel's 64-bit counters of a service or backend; `in_` towards the backend.

    Rates are the kernel's own averages over some seconds, per second.
    """

    connections: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    connection_rate: int = 0
    in_packet_rate: int = 0
    out_packet_rate: int = 0
    in_byte_rate: int = 0
    out_byte_rate: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One destination as the kernel lists it."""

    address: IPv4Address | IPv6Address
    weight: int
    forward: int = MASQUERADE
    port: int = 0
    thresholds: tuple[int, int] = (0, 0)
    active: int = 0
    inactive: int = 0
    stats: Stats = Stats()

    @property
    def balanced(self) -> int:
        """The weight; -1 when not by masquerading or with thresholds, which we never set."""
        return self.weight if (self.forward, self.thresholds) == (MASQUERADE, (0, 0)) else -1


@dataclass(frozen=True, slots=True)
class Listed:
    """The backends of a service: `Backend.balanced` by address, and those with a port of their own.

    The latter are never ours, and may have the address of one that is.
    """

    weights: Mapping[IPAddress, int]
    strays: AbstractSet[tuple[IPAddress, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds an idle connection is remembered; 0 in a request leaves the value alone."""

    tcp_s: int = 0
    tcp_fin_s: int = 0
    udp_s: int = 0


# Requests about backends and what is listed of them are many: one look each, not one an attribute.
_NESTED = 0x8000
_HEAD_OF_BACKEND = struct.Struct(
    "=BBH"  # struct genlmsghdr
    "HH HHH2x HHI"  # the service: family, mark
    "HH HH"  # a backend, its address
)
_REST_OF_BACKEND = struct.Struct("=HH2s2x HHI HH")  # port, method, the weight's head
_END_OF_BACKEND = struct.Struct("=HHI HHI HHH2x")  # thresholds, family
_LISTED_SERVICE = struct.Struct("=12xH2x 4sI 38sH")  # family, mark, settings, what comes next
_AROUND_SETTINGS = (struct.pack("=HH", 8, 5), 10)  # the mark's head; the counters' type
_LISTED = struct.Struct("=8x HH16s HHH2x HHI HHI")  # address, port, method, weight
# Length and type of each; the port and the method are as we set them.
_LISTED_HEADS = (20, 1, 6, 2, 0, 8, 3, MASQUERADE, 8, 4)
_NO_THRESHOLDS = struct.pack("=HHI HHI", 8, 5, 0, 8, 6, 0)
_THRESHOLDS_AT = _LISTED.size + 24  # three attributes of tunnels are between; not before Linux 5.4


# Requests


def family_request() -> netlink.Message:
    """Asks for the family's number; the kernel loads the module if it has it."""
    return _generic(_CONTROL, _GET_FAMILY, netlink.text(2, FAMILY))


def service_request(family: int, command: int, key: Key, settings: Settings) -> netlink.Message:
    """NEW_SERVICE or SET_SERVICE."""
    body = netlink.nested(
        _SERVICE,
        _key(key),
        netlink.text(6, settings.scheduler),
        netlink.attribute(7, struct.pack("=II", settings.flags, 0xFFFFFFFF)),
        netlink.u32(8, settings.timeout_s),
        netlink.attribute(9, settings.netmask or _FULL_MASK[key.version]),
    )
    return _generic(family, command, body)


def keyed_request(family: int, command: int, key: Key) -> netlink.Message:
    """DELETE_SERVICE, GET_SERVICE, or GET_BACKEND (a dump) of one service."""
    return _generic(family, command, netlink.nested(_SERVICE, _key(key)))


def backend_request(
    family: int, command: int, key: Key, address: IPAddress, weight: int = 0, *, port: int = 0
) -> netlink.Message:
    """NEW_BACKEND, SET_BACKEND or DELETE_BACKEND; port 0 keeps the port of the packet."""
    (message,) = backend_requests(family, command, key, ((address, weight),), port=port)
    return message


def backend_requests(
    family: int,
    command: int,
    key: Key,
    weights: Iterable[tuple[IPAddress, int]],
    *,
    port: int = 0,
) -> Iterator[netlink.Message]:
    """The same for many backends of a service, which differ in address and weight alone."""
    head = _HEAD_OF_BACKEND.pack(
        *(command, _VERSION, 0, 20, _NESTED | _SERVICE, 6, 1, _AF[key.version], 8, 5, key.mark),
        *(72, _NESTED | _BACKEND, 20, 1),
    )
    around = _around_weight(port) if port else _AROUND_WEIGHT
    for address, weight in weights:
        rest, end = around[address.version]
        parts = (head, address.packed, rest, weight.to_bytes(4, sys.byteorder), end)
        yield netlink.Message(family, 0, b"".join(parts))


def _around_weight(port: int) -> Mapping[int, tuple[bytes, bytes]]:
    rest = _REST_OF_BACKEND.pack(6, 2, port.to_bytes(2, "big"), 8, 3, MASQUERADE, 8, 4)
    return {
        version: (
            bytes(16 - width) + rest,
            _END_OF_BACKEND.pack(8, 5, 0, 8, 6, 0, 6, 11, _AF[version]),
        )
        for version, width in ((4, 4), (6, 16))
    }


_AROUND_WEIGHT = MappingProxyType(_around_weight(0))


def services_request() -> bytes:
    """The body of a dump of all services."""
    return struct.pack("=BBH", GET_SERVICE, _VERSION, 0)


def timeouts_request(family: int, timeouts: Timeouts) -> netlink.Message:
    """Sets the timeouts of the namespace."""
    pairs = ((_TCP, timeouts.tcp_s), (_TCP_FIN, timeouts.tcp_fin_s), (_UDP, timeouts.udp_s))
    return _generic(family, _SET_CONFIG, b"".join(netlink.u32(kind, s) for kind, s in pairs))


def get_timeouts_request(family: int) -> netlink.Message:
    """Asks for the timeouts of the namespace."""
    return _generic(family, _GET_CONFIG, b"")


def info_request(family: int) -> netlink.Message:
    """Asks for the version of IPVS."""
    return _generic(family, _GET_INFO, b"")


# Replies


def to_family(result: netlink.Result) -> int | None:
    """The family's number; None when the kernel has no IPVS."""
    for reply in result.replies:
        return netlink.to_int(_attributes(reply)[1])
    return None


def to_version(result: netlink.Result) -> str:
    """IPVS's own version such as "1.2.1"; empty when it does not tell."""
    for reply in result.replies:
        number = netlink.to_int(_attributes(reply).get(1, b""))
        return f"{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}"
    return ""


def to_timeouts(result: netlink.Result) -> Timeouts:
    """The timeouts of the namespace."""
    for reply in result.replies:
        found = _attributes(reply)
        tcp, fin, udp = (netlink.to_int(found.get(kind, b"")) for kind in (_TCP, _TCP_FIN, _UDP))
        return Timeouts(tcp_s=tcp, tcp_fin_s=fin, udp_s=udp)
    return Timeouts()


def to_services(replies: Iterable[netlink.Reply]) -> Iterator[tuple[Key, Settings]]:
    """The mark services among those listed; services by address are somebody else's."""
    known: dict[object, Settings] = {}  # thousands are told alike, but for mark and counters
    for reply in replies:
        family, mark, told = 0, 0, None
        if len(reply.body) >= _LISTED_SERVICE.size:
            family, before, mark, *rest = _LISTED_SERVICE.unpack_from(reply.body)
            told = (family, before, *rest)
        if told is not None and (how := known.get(told)) is not None:
            yield Key(_VERSIONS[family], mark), how
        elif (found := _to_service(reply)) is not None:
            # Otherwise there is more in it, or it is not where it is looked for.
            if told is not None and (before, rest[-1]) == _AROUND_SETTINGS and family in _VERSIONS:
                known[told] = found[1]
            yield found


def _to_service(reply: netlink.Reply) -> tuple[Key, Settings] | None:
    found = netlink.attributes(_attributes(reply).get(_SERVICE, b""))
    if 5 not in found:  # noqa: PLR2004 - IPVS_SVC_ATTR_FWMARK
        return None
    version = _VERSIONS.get(netlink.to_int(found[1]), 4)
    flags, _ = struct.unpack("=II", found[7])
    netmask = found.get(9, b"")
    return Key(version, netlink.to_int(found[5])), Settings(
        scheduler=netlink.to_text(found.get(6, b"")),
        flags=flags & ~_HASHED,
        # Without the flag the kernel remembers whatever was last written.
        timeout_s=netlink.to_int(found.get(8, b"")) if flags & PERSISTENT else 0,
        netmask=b"" if netmask == _FULL_MASK[version] else netmask,
    )


def to_backends(replies: Iterable[netlink.Reply], version: int) -> Iterator[Backend]:
    """The destinations of one service; `version` is what older kernels leave out."""
    for reply in replies:
        found = netlink.attributes(_attributes(reply).get(_BACKEND, b""))
        family = _VERSIONS.get(netlink.to_int(found.get(11, b"")), version)
        yield Backend(
            address=ipaddress.ip_address(found[1][: 4 if family == 4 else 16]),  # noqa: PLR2004 - bytes of in_addr, in6_addr
            weight=netlink.to_int(found[4]),
            forward=netlink.to_int(found[3]) & 7,
            port=int.from_bytes(found.get(2, b""), "big"),
            thresholds=(netlink.to_int(found.get(5, b"")), netlink.to_int(found.get(6, b""))),
            active=netlink.to_int(found.get(7, b"")),
            inactive=netlink.to_int(found.get(8, b"")),
            stats=_stats(found),
        )


def to_listed(replies: Iterable[netlink.Reply], version: int) -> Listed:
    """The destinations of one service without their counters."""
    family = IPv4Address if version == 4 else IPv6Address  # noqa: PLR2004 - IP versions
    width = family(0).max_prefixlen // 8
    weights: dict[IPAddress, int] = {}
    strays: set[tuple[IPAddress, int]] = set()
    for reply in replies:
        if reply.body.startswith(_NO_THRESHOLDS, _THRESHOLDS_AT):
            a, b, address, *heads, weight = _LISTED.unpack_from(reply.body)
            if (a, b, *heads) == _LISTED_HEADS:
                weights[family(address[:width])] = weight
                continue
        for each in to_backends((reply,), version):
            if each.port:
                strays.add((each.address, each.port))
            else:
                weights[each.address] = each.balanced
    return Listed(weights, strays)


def _stats(found: dict[int, bytes]) -> Stats:
    wide = netlink.attributes(found.get(12, b"") or found.get(10, b""))
    names = Stats.__dataclass_fields__  # in the order of IPVS_STATS_ATTR_CONNS … _OUTBPS
    return Stats(
        **{name: netlink.to_int(wide.get(kind, b"")) for kind, name in enumerate(names, start=1)}
    )


def _generic(family: int, command: int, body: bytes) -> netlink.Message:
    return netlink.Message(family, 0, struct.pack("=BBH", command, _VERSION, 0) + body)


def _attributes(reply: netlink.Reply) -> dict[int, bytes]:
    return netlink.attributes(reply.body[4:])


def _key(key: Key) -> bytes:
    return netlink.u16(1, _AF[key.version]) + netlink.u32(5, key.mark)

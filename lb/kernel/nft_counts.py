"""What balanced connections carry, counted by the kernel: per virtual address and backend.

Three pairs of sets hold a counter per (protocol, virtual address, backend): `began` counts
connections, since a nat chain sees the first packet of each only; `sent` and `heard` count packets
and bytes to the backend and back. The rules make an element at its first packet and find it again
by one hash look-up, so a change of services writes nothing here; only what leaves is cleared away.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from lb.kernel import conntrack, nft_frame, nft_messages, nft_netlink
from lb.kernel import nft_expressions as nft
from lb.kernel.nft_frame import TABLE
from sdd.linux import netlink
from sdd.model.network import IPAddress

# Of a dynamic set without a size, so that it grows (nft_compile). Enough for 1000 services with 20
# backends each and three protocols.
_MOST = 65535
_FAMILIES = {"ip": 4, "ip6": 6}
_STREAMS = frozenset({conntrack.TCP, conntrack.SCTP})
_PROTOCOLS = {  # and pings
    4: (conntrack.TCP, conntrack.UDP, conntrack.SCTP, 1),
    6: (conntrack.TCP, conntrack.UDP, conntrack.SCTP, 58),
}
_PADDED = 4  # the parts of a concatenated key are registers of 4 bytes
_WRITER = nft_messages.Writer(TABLE)


def _update(name: str, when: str) -> tuple[str, ...]:
    """Rules that count what `when` lets through in the sets `name`4 and `name`6."""
    return tuple(
        f"{when} update @{name}{version}"
        f" {{ meta l4proto . ct original {ip} daddr . ct reply {ip} saddr counter }}"
        for ip, version in _FAMILIES.items()
    )


_SENT = _update("sent", "ct status dnat ct direction original")
_HEARD = _update("heard", "ct status dnat ct direction reply")
# Behind the rewriting and what refuses; the first packet of a connection meets `began` on its way
# out, before anything else could translate its source.
CHAINS = (
    nft_frame.Chain("began", ("nat", "postrouting", 90), _update("began", "ct status dnat")),
    nft_frame.Chain("sent", ("filter", "output", -80), _SENT),
    nft_frame.Chain("heard", ("filter", "input", -80), _HEARD),
)
PASSING = nft_frame.Chain("passing", ("filter", "forward", 10), (*_SENT, *_HEARD))  # both ways
SETS = tuple(
    f"set {name}{version}"
    f" {{ type inet_proto . ipv{version}_addr . ipv{version}_addr; size {_MOST}; flags dynamic; }}"
    for name in ("began", "sent", "heard")
    for version in _FAMILIES.values()
)

Pair = tuple[IPAddress, IPAddress]  # virtual address, backend
Keys = Mapping[str, Sequence[bytes]]  # set → keys of elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Since the first connection; `in_` towards the backend."""

    connections: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_bytes: int = 0
    out_bytes: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(
            connections=self.connections + other.connections,
            in_packets=self.in_packets + other.in_packets,
            out_packets=self.out_packets + other.out_packets,
            in_bytes=self.in_bytes + other.in_bytes,
            out_bytes=self.out_bytes + other.out_bytes,
        )


NOTHING = Count()
Counted = dict[tuple[str, IPAddress, IPAddress], Count]  # tcp or udp, virtual address, backend
_AS: Mapping[str, Callable[[int, int], Count]] = {
    "began": lambda packets, _: Count(connections=packets),
    "sent": lambda packets, octets: Count(in_packets=packets, in_bytes=octets),
    "heard": lambda packets, octets: Count(out_packets=packets, out_bytes=octets),
}


def read(connection: netlink.Connection) -> Counted:
    """The counts by (tcp or udp, virtual address, backend); SCTP counts as tcp, as with IPVS."""
    found: Counted = {}
    for name in _AS:
        for version in _FAMILIES.values():
            of = f"{name}{version}"
            _add(found, of, nft_netlink.counters(connection, of))
    return found


def keys(pairs: Collection[Pair]) -> Keys:
    """Where counters of `pairs` may be."""
    return {
        f"{name}{version}": tuple(
            _key(protocol, vip, backend)
            for vip, backend in pairs
            if vip.version == backend.version == version
            for protocol in _PROTOCOLS[version]
        )
        for name in _AS
        for version in _FAMILIES.values()
    }


def cleared(
    connection: netlink.Connection, those: Keys
) -> tuple[Sequence[netlink.Message], Counted]:
    """The requests that take those counters away that are there, and what they had counted."""
    there: list[netlink.Message] = []
    counted: Counted = {}
    for name, found in nft_netlink.counters_at(connection, those).items():
        one = nft_messages.Set(name=name, key=nft_messages.ADDRESS[int(name[-1])])
        there += _WRITER.delete_elements(one, [nft.element(key) for key, _, _ in found])
        _add(counted, name, found)
    return there, counted


def _add(to: Counted, name: str, found: Iterable[tuple[bytes, int, int]]) -> None:
    width, count = nft_netlink.WIDTH[int(name[-1])], _AS[name[:-1]]
    for key, packets, octets in found:
        if (protocol := _protocol(key[0])) is not None:
            where = (protocol, *_pair(key[_PADDED:], width))
            to[where] = to.get(where, NOTHING) + count(packets, octets)


def _protocol(number: int) -> str | None:
    if number in _STREAMS:
        return "tcp"
    return "udp" if number == conntrack.UDP else None


def _key(protocol: int, vip: IPAddress, backend: IPAddress) -> bytes:
    return bytes((protocol, 0, 0, 0)) + vip.packed + backend.packed


def _pair(key: bytes, width: int) -> Pair:
    return ip_address(key[:width]), ip_address(key[width : 2 * width])

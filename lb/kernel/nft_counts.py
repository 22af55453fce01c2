"""What balanced connections carry, counted by the kernel: per virtual address and backend.

Three pairs of sets hold a counter per (protocol, virtual address, backend): `began` counts
connections, since a nat chain sees the first packet of each only; `sent` and `heard` count packets
and bytes to the backend and back. The rules make an element at its first packet and find it again
by one hash look-up, so a change of services writes nothing here; only what leaves is cleared away.
"""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from lb.kernel import conntrack, nft_counters, nft_frame, nft_messages
from lb.kernel import nft_expressions as nft
from lb.kernel.nft_frame import TABLE
from sdd.linux import netlink
from sdd.model.network import IPAddress

# Of a dynamic set without a size, so that it grows (nft_compile). Enough for 1000 services with 20
# backends each and three protocols.
_MOST = 65535
_FAMILIES = {"ip": 4, "ip6": 6}
_COUNTED_AS = {conntrack.TCP: "tcp", conntrack.SCTP: "tcp", conntrack.UDP: "udp"}
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


class Count(NamedTuple):
    """Since the first connection; `in_` towards the backend."""

    connections: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_bytes: int = 0
    out_bytes: int = 0


NOTHING = Count()
Counted = dict[tuple[str, IPAddress, IPAddress], Count]  # tcp or udp, virtual address, backend
# Of each set: which fields of a count its packets are, and which its bytes.
_AS: Mapping[str, tuple[int, int | None]] = {"began": (0, None), "sent": (1, 3), "heard": (2, 4)}
_Sums = dict[tuple[str, bytes], list[int]]  # protocol, both addresses → the fields of a count


def read(connection: netlink.Connection) -> Counted:
    """The counts by (tcp or udp, virtual address, backend); SCTP counts as tcp, as with IPVS."""
    sums: _Sums = {}
    for name in _AS:
        for version in _FAMILIES.values():
            of = f"{name}{version}"
            _add(sums, of, nft_counters.counters(connection, of))
    return _counted(sums)


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
    sums: _Sums = {}
    for name, found in nft_counters.counters_at(connection, those).items():
        one = nft_messages.Set(name=name, key=nft_messages.ADDRESS[int(name[-1])])
        there += _WRITER.delete_elements(one, [nft.element(key) for key, _, _ in found])
        _add(sums, name, found)
    return there, _counted(sums)


def _add(to: _Sums, name: str, found: Iterable[nft_counters.Counter]) -> None:
    """What a set tells of one or many thousands, which no objects are made of one by one."""
    of_packets, of_bytes = _AS[name[:-1]]
    for key, packets, octets in found:
        if (protocol := _COUNTED_AS.get(key[0])) is not None:
            where = (protocol, key[_PADDED:])
            if (sums := to.get(where)) is None:
                sums = to[where] = [*NOTHING]
            sums[of_packets] += packets
            if of_bytes is not None:
                sums[of_bytes] += octets


def _counted(sums: _Sums) -> Counted:
    """Half of a key is an address each, for both are of one version."""
    return {
        (protocol, _address(key[: len(key) // 2]), _address(key[len(key) // 2 :])): Count(*numbers)
        for (protocol, key), numbers in sums.items()
    }


def _key(protocol: int, vip: IPAddress, backend: IPAddress) -> bytes:
    return bytes((protocol, 0, 0, 0)) + vip.packed + backend.packed


@functools.lru_cache(maxsize=1 << 14)
def _address(packed: bytes) -> IPAddress:
    return ip_address(packed)

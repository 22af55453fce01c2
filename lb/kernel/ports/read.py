"""What the kernel holds in `inet sdd-ports`, as an image; by netlink, since nft's text is slow.

Runs inside the namespace of the connection.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from lb.kernel import nft_netlink
from lb.kernel.ports.frame import CHAINS, SETS, TABLE, VERDICT
from lb.ports.image import CHAIN, NONE, Element, Image
from sdd.linux import netlink

_ALIGNED = 4  # each part of a concatenation begins at a multiple of this
_PROTOCOLS = MappingProxyType({6: "tcp", 17: "udp", 132: "sctp"})


def read(connection: netlink.Connection, rules: nft_netlink.Rules) -> Image | None:
    """What is there; None when something of it is not as we make it. `rules` are the table's."""
    if not nft_netlink.present(connection, TABLE):
        return NONE
    comments = nft_netlink.comments(rules)
    shared = {each.name for each in CHAINS}
    pools = comments.keys() - shared
    if any(nft_netlink.frame_flaws(connection, CHAINS, comments, pools, TABLE)):
        return None
    if any(comments[each] != [each] for each in pools):
        return None
    found = {Element(CHAIN, each) for each in pools}
    for name, (key, data) in SETS.items():
        for raw_key, raw_data in nft_netlink.elements(connection, name, TABLE):
            found.add(Element(name, _told(raw_key, key), _value(raw_data, data)))
    return frozenset(found)


def _value(raw: bytes, kinds: Sequence[str]) -> str:
    if not kinds:
        return ""
    if kinds == (VERDICT,):
        return f"goto {nft_netlink.target(raw)}"
    return _told(nft_netlink.value(raw), kinds)


def _told(raw: bytes, kinds: Sequence[str]) -> str:
    return " . ".join(_parts(raw, kinds))


def _parts(raw: bytes, kinds: Sequence[str]) -> Iterator[str]:
    at = 0
    for kind in kinds:
        length, tell = _KINDS[kind]
        yield tell(raw[at : at + length])
        at += -(-length // _ALIGNED) * _ALIGNED


def _port(raw: bytes) -> str:
    return str(int.from_bytes(raw, "big"))


def _protocol(raw: bytes) -> str:
    return _PROTOCOLS.get(int.from_bytes(raw, "big"), raw.hex())


def _address(raw: bytes) -> str:
    return str(ipaddress.ip_address(raw))


def _link(raw: bytes) -> str:
    return f'"{netlink.to_text(raw)}"'


# nft's name of a type → bytes, and how a person writes them
_KINDS: Mapping[str, tuple[int, Callable[[bytes], str]]] = MappingProxyType(
    {
        "ipv4_addr": (4, _address),
        "ipv6_addr": (16, _address),
        "inet_proto": (1, _protocol),
        "inet_service": (2, _port),
        "ifname": (16, _link),
    }
)

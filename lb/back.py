"""How a member answers what came through an ingress sandbox: values, wanted or as found.

A packet from outside keeps its client's address, and the member's own routes would send the answer
past the translation. So the ingress sandbox that sent it is told by its MAC and remembered in the
connection's mark, and each mark has a routing table of its own, which leads back there.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

BASE = 0x5E000000  # our range of marks and tables: 0x5e000000..0x5effffff, in docs/balancing.md
MASK = 0xFF000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One ingress sandbox on the network: `mark` is that of its connections and its table."""

    mac: str
    mark: int
    gateways: tuple[IPv4Address | IPv6Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The sandbox's usual address towards `clients`.

    It is asked there, whatever was written on the packet: a server that answers from its usual
    address then answers from the right one.
    """

    clients: IPv4Network | IPv6Network
    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """One sandbox's ways back. `link` is its end on the network, `own` its addresses there.

    `homes` are ordered, the narrower before the wider. `beside` is the home of ingress sandboxes
    themselves, who check it: they are on the link, towards which the kernel would answer from
    `own`. `lost` are the IP versions in which it has no other way out: without one, the kernel
    would not even begin to answer.
    """

    link: str
    own: tuple[IPv4Address | IPv6Address, ...] = ()
    homes: tuple[Home, ...] = ()
    beside: tuple[Home, ...] = ()
    nodes: tuple[Node, ...] = ()
    lost: tuple[int, ...] = ()


DAMAGED = Back(link="")  # something of ours is there, but not all of what we make


def mark(address: IPv4Address) -> int:
    """The mark of the ingress sandbox with that address: no two of one network share it."""
    return BASE | (int(address) & ~MASK)

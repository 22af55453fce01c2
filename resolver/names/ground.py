"""What all names of one network depend on."""

from typing import NamedTuple, Self

from resolver.names import spelling
from sdd.model import network


class Ground(NamedTuple):
    """The network's name, as text and as wire name (empty if DNS cannot carry it), and the TTL.

    `zone` is the wire name if all below it is ours.
    """

    suffix: str
    ttl: int
    tail: bytes
    zone: bytes

    @classmethod
    def of(cls, net: network.Network, ttl: int) -> Self:
        """`ttl` in seconds."""
        tail = spelling.spelled(net.name)
        return cls(net.name, ttl, tail, b"" if net.forwards_unknown else tail)

"""Subnets for networks: default pools cut into pieces, and the rule that nothing overlaps.

In: templates, and the prefixes already in use. Out: the first free subnet, or None. Facts of the
defaults: Docker's local pools, 31 networks in all; IPv6 is a ULA /48 of the host, RFC 4193 §3.2.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice

from sdd.model import ids
from sdd.model.network import IPNetwork
from sdd.model.subnet import overlaps, unusable

V4 = 4
LEAST_BITS = 2  # of a piece: the addresses of a /30 are the subnet's own two and two to use
ULA_SIZE = 64
TRIES = 1 << 16  # subnets looked at in one template: a /48 cut in /64


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTemplate:
    """`base` cut into subnets of prefix length `size`."""

    base: IPNetwork
    size: int

    def __post_init__(self) -> None:
        if not self.base.prefixlen <= self.size <= self.base.max_prefixlen:
            raise ValueError(f"{self.base} cannot be cut into /{self.size}")

    @property
    def pieces(self) -> int:
        """How many subnets it gives."""
        return 1 << (self.size - self.base.prefixlen)


def fault(template: PoolTemplate) -> str:
    """Why `template` can never give a network, as the end of a sentence; empty when it can."""
    smallest = template.base.max_prefixlen - LEAST_BITS
    if template.size > smallest:
        return f"a /{template.size} has no room for a network, the smallest is a /{smallest}"
    why = unusable(template.base)
    return f"{template.base} {why}" if why else ""


def clash(templates: Sequence[PoolTemplate]) -> tuple[int, int] | None:
    """The places of the first two templates that share addresses: one would go to waste."""
    for late, template in enumerate(templates):
        for early in range(late):
            if overlaps(templates[early].base, template.base):
                return early, late
    return None


def _template(base: str, size: int) -> PoolTemplate:
    return PoolTemplate(base=ip_network(base), size=size)


DEFAULT_POOLS: tuple[PoolTemplate, ...] = (
    _template("172.17.0.0/16", 16),
    _template("172.18.0.0/16", 16),
    _template("172.19.0.0/16", 16),
    _template("172.20.0.0/14", 16),
    _template("172.24.0.0/14", 16),
    _template("172.28.0.0/14", 16),
    _template("192.168.0.0/16", 20),
)


def ula(node: ids.NodeId) -> PoolTemplate:
    """The node's own IPv6 pool: fd + 40 bits of the hash of its name, cut in /64."""
    bits = hashlib.sha256(node.encode()).digest()[:5]
    base = IPv6Network((b"\xfd" + bits + bytes(10), 48))
    return PoolTemplate(base=base, size=ULA_SIZE)


def first_free(
    templates: Iterable[PoolTemplate], used: Iterable[IPNetwork], *, version: int, size: int = 0
) -> IPNetwork | None:
    """The first subnet of the templates, in their order, that overlaps nothing used.

    `size` asks for another prefix length than the template's; None when nothing is free.
    """
    taken = [each for each in used if each.version == version]
    for template in templates:
        if template.base.version != version or (size and size < template.base.prefixlen):
            continue
        for candidate in islice(_pieces(template.base, size or template.size, taken), TRIES):
            return candidate
    return None


def overlap(subnet: IPNetwork, used: Iterable[IPNetwork]) -> IPNetwork | None:
    """The first of `used` that shares an address with `subnet`."""
    return next((each for each in used if overlaps(subnet, each)), None)


def _pieces(base: IPNetwork, size: int, taken: Iterable[IPNetwork]) -> Iterator[IPNetwork]:
    """The free subnets of `base`; jumps over what is used instead of counting through it."""
    make: type[IPv4Network | IPv6Network] = type(base)
    step = 1 << (base.max_prefixlen - size)
    at, end = int(base.network_address), int(base.broadcast_address)
    inside = (each for each in taken if overlaps(each, base))
    blocked = sorted((int(each.network_address), int(each.broadcast_address)) for each in inside)
    for first, last in (*blocked, (end + 1, end)):
        for free in range(at, first - step + 1, step):
            yield make((free, size))
        at = max(at, -(-(last + 1) // step) * step)

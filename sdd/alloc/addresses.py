"""The next address of a subnet: upwards from the last one given, then round again.

In: the range to choose from and what is taken. Out: an address that is free, or None. Lowest-free
would hand a dead sandbox's address to the next one at once, while caches and neighbours still
send to the old one; upwards and round gives each address the longest possible rest. Endpoints and
virtual addresses follow the same rule.
"""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from sdd.model import network
from sdd.model.network import IPAddress, IPNetwork

V4 = 4
Cursor = Callable[[IPNetwork], IPAddress | None]  # the last address given in a subnet, if any


class Taken(Protocol):
    """The addresses that are held, of any family; `len` may count more than lie in one subnet."""

    def __contains__(self, ip: object, /) -> bool: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The addresses `first`..`last` (as numbers) of one family."""

    first: int
    last: int
    version: int

    @property
    def size(self) -> int:
        """How many addresses there are."""
        return max(0, self.last - self.first + 1)


def usable(pool: network.Pool) -> Span:
    """What automatic choice may give: the ip-range or the subnet, without reserved addresses.

    Reserved are IPv4's network and broadcast address (not of a /31 or /32: RFC 3021) and IPv6's
    first address (subnet-router anycast, RFC 4291 §2.6.1).
    """
    within = pool.ip_range or pool.subnet
    reserved = reserved_of(pool.subnet)
    first, last = int(within.network_address), int(within.broadcast_address)
    while first <= last and first in reserved:
        first += 1
    while last >= first and last in reserved:
        last -= 1
    return Span(first=first, last=last, version=pool.subnet.version)


def reserved_of(subnet: IPNetwork) -> tuple[int, ...]:
    """The addresses of `subnet`, as numbers, that no interface may have."""
    if subnet.prefixlen >= subnet.max_prefixlen - 1:
        return ()
    first = int(subnet.network_address)
    return (first, int(subnet.broadcast_address)) if subnet.version == V4 else (first,)


def next_free(pool: network.Pool, taken: Taken, after: IPAddress | None) -> IPAddress | None:
    """The first free address of `pool` after `after` (cyclically); None when all are taken.

    Looks at no more than `len(taken) + 1` addresses, however large the subnet.
    """
    span = usable(pool)
    make = type(pool.subnet.network_address)
    start = int(after) + 1 if after is not None else span.first
    if not span.first <= start <= span.last:
        start = span.first
    for step in range(min(span.size, len(taken) + 1)):
        candidate = make(span.first + (start - span.first + step) % span.size)
        if candidate not in taken:
            return candidate
    return None


def free_count(pool: network.Pool, taken: AbstractSet[IPAddress]) -> int:
    """How many addresses automatic choice could still give."""
    span = usable(pool)
    used = sum(
        each.version == span.version and span.first <= int(each) <= span.last for each in taken
    )
    return span.size - used


def families(net: network.Network) -> tuple[int, ...]:
    """4 before 6, those the network has."""
    return tuple(sorted({pool.subnet.version for pool in net.pools}))


def pools(net: network.Network, version: int) -> Iterator[network.Pool]:
    """The pools of one family, in the order they were asked for."""
    return (pool for pool in net.pools if pool.subnet.version == version)


def next_of(
    net: network.Network, version: int, taken: Taken, cursor: Cursor
) -> tuple[network.Pool, IPAddress] | None:
    """The first pool of the family with a free address, and that address."""
    for pool in pools(net, version):
        if (found := next_free(pool, taken, cursor(pool.subnet))) is not None:
            return pool, found
    return None

"""How full a network's subnets are.

In: a network and the addresses held on it. Out: two numbers per subnet, counted as Docker counts
them in `network inspect`: every address that cannot be given (reserved, gateway, auxiliary, held)
is in use; free is what automatic choice could still give.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sdd.alloc import addresses
from sdd.model import network
from sdd.model.network import IPAddress, IPNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Of one subnet."""

    subnet: IPNetwork
    in_use: int
    free: int


def of(net: network.Network, held: Iterable[IPAddress]) -> tuple[Usage, ...]:
    """One for each subnet of `net`; `held` are the addresses of endpoints and services on it."""
    taken = frozenset(held) | own_of(net)
    return tuple(_usage(pool, taken) for pool in net.pools)


def own_of(net: network.Network) -> frozenset[IPAddress]:
    """The network's gateways and auxiliary addresses."""
    gateways = {pool.gateway for pool in net.pools if pool.gateway is not None}
    return frozenset(gateways.union(*(pool.aux.values() for pool in net.pools)))


def _usage(pool: network.Pool, taken: frozenset[IPAddress]) -> Usage:
    inside = {int(ip) for ip in taken if ip in pool.subnet}
    return Usage(
        subnet=pool.subnet,
        in_use=len(inside.union(addresses.reserved_of(pool.subnet))),
        free=addresses.free_count(pool, taken),
    )

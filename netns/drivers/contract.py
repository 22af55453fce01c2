"""What a driver is: two pure functions from model values to wanted kernel objects.

In: a network, an endpoint of it. Out: links, addresses, a fence. Which endpoint gives the default
route is no driver's business: it depends on all networks of a sandbox (`netns.desired`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netns import firewall, world
from sdd.model import endpoint, network


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a network needs on the host, whether or not anybody is connected.

    `floor` is the link of the host on which those in sandboxes stand, whoever made it.
    """

    links: tuple[world.Link, ...] = ()
    floor: str = ""
    addresses: frozenset[world.Address] = frozenset()
    fence: firewall.Fence | None = None
    forwarding: frozenset[int] = frozenset()  # IP versions the host must forward


@dataclass(frozen=True, slots=True)
class Way:
    """A way out: by a gateway, or (None) straight over the link."""

    version: int
    gateway: network.IPAddress | None


def gateways(net: network.Network, end: endpoint.Endpoint) -> Iterator[Way]:
    """The gateways of the subnets in which the endpoint has its addresses; none if internal."""
    for address in end.hosts:
        pool = net.pool_of(address)
        if pool is not None and pool.gateway is not None and not net.internal:
            yield Way(address.version, pool.gateway)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What one endpoint needs: `outer` on the host, the rest in the sandbox.

    `ways` are the default routes that it could give, at most one per IP version; `host_routes`
    are those by which the host reaches it.
    """

    inner: world.Link
    outer: world.Link | None = None
    addresses: frozenset[world.Address] = frozenset()
    ways: tuple[Way, ...] = ()
    host_routes: frozenset[world.Route] = frozenset()


@dataclass(frozen=True, slots=True)
class Translator:
    """One driver."""

    ground: Callable[[network.Network], Ground]
    attach: Callable[[network.Network, endpoint.Endpoint], Attachment]

"""What a driver is: two pure functions from model values to wanted kernel objects.

In: a network, an endpoint of it. Out: links, addresses, a fence. Which endpoint gives the default
route is no driver's business: it depends on all networks of a sandbox (`netns.desired`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from netns import firewall, world
from sdd.model import endpoint, network


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a network needs on the host, whether or not anybody is connected."""

    links: tuple[world.Link, ...] = ()
    addresses: frozenset[world.Address] = frozenset()
    fence: firewall.Fence | None = None
    forwarding: frozenset[int] = frozenset()  # IP versions the host must forward


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What one endpoint needs: `outer` on the host, the rest in the sandbox."""

    inner: world.Link
    outer: world.Link | None = None
    addresses: frozenset[world.Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Translator:
    """One driver."""

    ground: Callable[[network.Network], Ground]
    attach: Callable[[network.Network, endpoint.Endpoint], Attachment]

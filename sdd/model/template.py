"""A configuration-only network: what networks made from it get, and nothing in any kernel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from sdd.model import ids
from sdd.model.forwardzone import ForwardZone
from sdd.model.nameserver import Nameserver
from sdd.model.network import EMPTY
from sdd.model.request import PoolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """As asked; what is left out is chosen for each network that is made from it.

    Its name and id are unique among networks and templates together.
    """

    id: ids.NetworkId
    name: str
    pools: tuple[PoolSpec, ...] = ()
    ipv4: bool | None = None
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    dns: tuple[IPv4Address | IPv6Address | Nameserver, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_zones: tuple[ForwardZone, ...] = ()
    created: float = 0.0  # seconds since the epoch

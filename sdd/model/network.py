"""A network of the container network model: one layer-2 or layer-3 scope with its addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType

from sdd.model import ids, options
from sdd.model.forwardzone import ForwardZone
from sdd.model.nameserver import Nameserver

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

EMPTY: Mapping[str, str] = MappingProxyType({})
DEFAULT_NAME = "bridge"  # the predefined network that has no name service, as in Docker
DEFAULT_DEVICE = "sdd0"
NOT_OURS = frozenset({"host", "none", "default"})  # Docker's other pre-defined names
# What mode=ingress brings along (docs/ports.md): the network on which members are reached, the one
# by which each node's ingress sandbox meets its host, and the name of its bridge.
INGRESS_NAME = "ingress"
GATEWAY_NAME = "gwbridge"
GATEWAY_DEVICE = "sdd-gwbridge"
OPTION_BRIDGE_NAME = "com.docker.network.bridge.name"
OPTION_MTU = "com.docker.network.driver.mtu"
OPTION_FORWARD_UNKNOWN = "forward-unknown"
OPTION_DUPLICATE_PROBE = "duplicate-probe"


class Driver(StrEnum):
    """How a network is made in the kernel."""

    BRIDGE = "bridge"
    OVERLAY = "overlay"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One subnet of a network. Automatic addresses come from `ip_range`, or the whole subnet."""

    subnet: IPv4Network | IPv6Network
    gateway: IPv4Address | IPv6Address | None = None
    ip_range: IPv4Network | IPv6Network | None = None
    aux: Mapping[str, IPv4Address | IPv6Address] = field(
        default_factory=lambda: MappingProxyType({})
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What was asked for and what was allocated; `pools` is never empty."""

    id: ids.NetworkId
    name: str
    driver: Driver = Driver.BRIDGE
    pools: tuple[Pool, ...]
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    predefined: bool = False
    options: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    dns: tuple[IPv4Address | IPv6Address | Nameserver, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_zones: tuple[ForwardZone, ...] = ()
    template: str = ""  # the id of the configuration it was made from
    created: float = 0.0  # seconds since the epoch

    @property
    def has_names(self) -> bool:
        """Whether sandboxes on it get the embedded DNS server: on all but predefined ones."""
        return not self.predefined

    @property
    def forwards_unknown(self) -> bool:
        """Whether names below the network's own that are not there may be somebody else's."""
        return options.to_bool(self.options.get(OPTION_FORWARD_UNKNOWN, "false"))

    @property
    def scope(self) -> str:
        """`local`, or `swarm` (Docker's word) for a driver that spans hosts."""
        return "swarm" if self.driver is Driver.OVERLAY else "local"

    @property
    def device(self) -> str:
        """The bridge's link name: the option's, its own if predefined, else `br-<12 of id>`."""
        if named := self.options.get(OPTION_BRIDGE_NAME):
            return named
        if not self.predefined or self.is_ingress:
            return f"br-{ids.short(self.id)}"
        return GATEWAY_DEVICE if self.name == GATEWAY_NAME else DEFAULT_DEVICE

    @property
    def is_ingress(self) -> bool:
        """Whether it is the one on which members are reached from published ports."""
        return self.predefined and self.name == INGRESS_NAME

    @property
    def is_closed(self) -> bool:
        """Whether nobody connects anything to it: we do, where it is needed."""
        return self.predefined and self.name in (INGRESS_NAME, GATEWAY_NAME)

    @property
    def mtu(self) -> int:
        """Link MTU in bytes; 0 means the kernel's default."""
        return int(self.options.get(OPTION_MTU, "0"))

    def pool_of(self, address: IPAddress) -> Pool | None:
        """The pool whose subnet holds `address`, if any."""
        return next((pool for pool in self.pools if address in pool.subnet), None)

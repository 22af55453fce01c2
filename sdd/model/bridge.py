"""What the options of a bridge network say. Keys, values and defaults are Docker's.

In: a network. Out: one frozen value. The commands read each text with the same parsers before it
is ever stored, so nothing is wrong here any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

from sdd.model import network, options
from sdd.model.options import Option

V4, V6 = 4, 6
OWN = "bridge-own"  # the name of what an adopted bridge has in the subnet and is not the gateway
_BRIDGE = "com.docker.network.bridge."
_ANY = "com.docker.network."


class GatewayMode(StrEnum):
    """What the way between a network and the world is, for one IP version.

    NAT: out under the host's address, in to published ports only. NAT_UNPROTECTED: as NAT, and
    in to every port for those who have a route. ROUTED: no translation, in to published ports.
    ISOLATED: no address on the bridge, no way at all, not even for the host.
    """

    NAT = "nat"
    NAT_UNPROTECTED = "nat-unprotected"
    ROUTED = "routed"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """All options of one network. `trusted` are host links whose packets may enter it.

    `source4` and `source6` are what masqueraded packets are sent from instead of the address of
    the link they leave by. `prefix` starts the link names in the sandboxes. `duplicate_probe`: on
    the wire of a bridge that was there already, others are asked before an address is given.
    """

    name: str = ""
    mtu: int = 0
    icc: bool = True
    masquerade: bool = True
    mode4: GatewayMode = GatewayMode.NAT
    mode6: GatewayMode = GatewayMode.NAT
    inhibit4: bool = False
    binding4: IPv4Address | None = None
    trusted: frozenset[str] = frozenset()
    source4: IPv4Address | None = None
    source6: IPv6Address | None = None
    prefix: str = "eth"
    forward_unknown: bool = False
    duplicate_probe: bool = True
    is_default: bool = False  # of one that somebody made

    def mode(self, version: int) -> GatewayMode:
        """The gateway mode of an IP version."""
        return self.mode4 if version == V4 else self.mode6

    def source(self, version: int) -> network.IPAddress | None:
        """The source address for packets that leave, if one was chosen."""
        return self.source4 if version == V4 else self.source6

    def has_gateway(self, version: int) -> bool:
        """Whether the bridge itself has an address of that version."""
        inhibited = version == V4 and self.inhibit4
        return self.mode(version) is not GatewayMode.ISOLATED and not inhibited

    def is_gateway(self, pool: network.Pool) -> bool:
        """Whether the bridge itself has the address of the gateway, not another one on its wire."""
        if pool.gateway is None or (self.name and OWN in pool.aux):
            return False
        return self.has_gateway(pool.gateway.version)


def of(net: network.Network) -> Bridge:
    """The value of all options of a bridge network."""
    return Bridge(**options.fields(OPTIONS, net.options))


def _no_default(text: str) -> bool:
    if options.to_bool(text):
        raise ValueError(
            f"cannot be {text!r}: the default network is there already and called bridge"
        )
    return False


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        network.OPTION_BRIDGE_NAME: Option("name", options.to_ifname),
        network.OPTION_MTU: Option("mtu", options.to_mtu),
        network.OPTION_FORWARD_UNKNOWN: Option("forward_unknown", options.to_bool),
        network.OPTION_DUPLICATE_PROBE: Option("duplicate_probe", options.to_bool),
        f"{_BRIDGE}enable_icc": Option("icc", options.to_bool),
        f"{_BRIDGE}enable_ip_masquerade": Option("masquerade", options.to_bool),
        f"{_BRIDGE}gateway_mode_ipv4": Option("mode4", options.to_choice(GatewayMode)),
        f"{_BRIDGE}gateway_mode_ipv6": Option("mode6", options.to_choice(GatewayMode)),
        f"{_BRIDGE}inhibit_ipv4": Option("inhibit4", options.to_bool),
        f"{_BRIDGE}host_binding_ipv4": Option("binding4", options.to_address(IPv4Address)),
        f"{_BRIDGE}trusted_host_interfaces": Option("trusted", options.to_ifnames),
        f"{_BRIDGE}default_bridge": Option("is_default", _no_default),
        f"{_ANY}host_ipv4": Option("source4", options.to_address(IPv4Address)),
        f"{_ANY}host_ipv6": Option("source6", options.to_address(IPv6Address)),
        f"{_ANY}container_iface_prefix": Option("prefix", options.to_prefix),
    }
)

"""What the options of macvlan and ipvlan networks say: sandboxes on a link of the host.

In: a network. Out: one frozen value. Keys, values and defaults are Docker's; `host-access` and
`duplicate-probe` are ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from sdd.model import network, options
from sdd.model.options import Option

PARENT = "parent"
HOST_ACCESS = "host-access"  # the option, and the name of the address that is kept for the host
_VLAN = re.compile(r"(?P<link>[^.]+)\.(?P<tag>[0-9]{1,4})")
TAG_MASK = 0xFFF  # 802.1Q: the tag is the lower 12 bits of the TCI
_TAG_MAX = 4094  # 0 and 4095 are reserved


class MacvlanMode(StrEnum):
    """How the links of one parent see each other (ip-link(8))."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"
    PASSTHRU = "passthru"


class IpvlanMode(StrEnum):
    """L2: as a switch. L3: routed, no broadcast. L3S: as L3, seen by the host's filters."""

    L2 = "l2"
    L3 = "l3"
    L3S = "l3s"


class IpvlanFlag(StrEnum):
    """As the macvlan modes of the same names."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"


@dataclass(frozen=True, slots=True)
class Vlan:
    """An 802.1Q link: `tag` on the link `parent`, named `parent.tag`."""

    parent: str
    tag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """All options of one network. No `parent` means a network of its own on this host.

    `host_access` gives the host a link of its own on the parent, so that it reaches the sandboxes.
    `duplicate_probe` asks on the parent whether somebody has an address before it is given.
    """

    parent: str = ""
    mode: MacvlanMode = MacvlanMode.BRIDGE
    ipvlan_mode: IpvlanMode = IpvlanMode.L2
    ipvlan_flag: IpvlanFlag = IpvlanFlag.BRIDGE
    host_access: bool = False
    duplicate_probe: bool = True
    mtu: int = 0
    prefix: str = "eth"
    forward_unknown: bool = False

    @property
    def wire(self) -> str:
        """The link whose neighbours may have our addresses; empty when there can be none."""
        return self.parent if self.duplicate_probe and not self.is_routed else ""

    @property
    def is_routed(self) -> bool:
        """The L3 modes of ipvlan: there are no neighbours, and the link itself is the way out."""
        return self.ipvlan_mode is not IpvlanMode.L2

    @property
    def is_social(self) -> bool:
        """Whether links of the same parent reach each other on this host."""
        return self.mode is MacvlanMode.BRIDGE and self.ipvlan_flag is IpvlanFlag.BRIDGE

    @property
    def vlan(self) -> Vlan | None:
        """The 802.1Q link that the parent's name means, if it has the form `link.tag`."""
        return to_vlan(self.parent)


def to_vlan(name: str) -> Vlan | None:
    """`eth0.100` → eth0, 100; None for any other form and for tags that cannot be (M5)."""
    found = _VLAN.fullmatch(name)
    if found is None or not 1 <= int(found["tag"]) <= _TAG_MAX:
        return None
    return Vlan(found["link"], int(found["tag"]))


def of(net: network.Network) -> Child:
    """The value of all options of a macvlan or ipvlan network."""
    return Child(**options.fields(OPTIONS[net.driver], net.options))


def host_addresses(net: network.Network) -> tuple[network.IPAddress, ...]:
    """The host's own address in each subnet of a network with `host-access`."""
    found = (pool.aux.get(HOST_ACCESS) for pool in net.pools)
    return tuple(address for address in found if address is not None)


def _parent(text: str) -> str:
    if text == "lo":
        raise ValueError("cannot be 'lo': loopback has no network behind it")
    return options.to_ifname(text)


_COMMON = {
    PARENT: Option("parent", _parent),
    network.OPTION_MTU: Option("mtu", options.to_mtu),
    network.OPTION_FORWARD_UNKNOWN: Option("forward_unknown", options.to_bool),
    "com.docker.network.container_iface_prefix": Option("prefix", options.to_prefix),
    network.OPTION_DUPLICATE_PROBE: Option("duplicate_probe", options.to_bool),
    HOST_ACCESS: Option("host_access", options.to_bool),
}
OPTIONS: Mapping[network.Driver, Mapping[str, Option]] = MappingProxyType(
    {
        network.Driver.MACVLAN: MappingProxyType(
            _COMMON | {"macvlan_mode": Option("mode", options.to_choice(MacvlanMode))}
        ),
        network.Driver.IPVLAN: MappingProxyType(
            _COMMON
            | {
                "ipvlan_mode": Option("ipvlan_mode", options.to_choice(IpvlanMode)),
                "ipvlan_flag": Option("ipvlan_flag", options.to_choice(IpvlanFlag)),
            }
        ),
    }
)

"""The macvlan and ipvlan drivers: each endpoint is a link of its own on a link of the host.

In: network, endpoint. Out: wanted values. The parent is the user's, or a VLAN link on it that we
make (and remove with its last network), or without a parent a veth pair that leads nowhere: it
has a carrier, and every kernel has it.
"""

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

from netns import world
from netns.drivers import contract, inside
from netns.world import Kind, Setting
from sdd.model import child, endpoint, ids, network
from sdd.model.child import IpvlanFlag, IpvlanMode, MacvlanMode

# The kernel's numbers: include/uapi/linux/if_link.h, MACVLAN_MODE_…, IPVLAN_MODE_…, IPVLAN_F_….
_MACVLAN = MappingProxyType(
    {
        MacvlanMode.PRIVATE: 1,
        MacvlanMode.VEPA: 2,
        MacvlanMode.BRIDGE: 4,
        MacvlanMode.PASSTHRU: 8,
    }
)
_IPVLAN = MappingProxyType({IpvlanMode.L2: 0, IpvlanMode.L3: 1, IpvlanMode.L3S: 2})
_FLAGS = MappingProxyType({IpvlanFlag.BRIDGE: 0, IpvlanFlag.PRIVATE: 1, IpvlanFlag.VEPA: 2})
_NO_LINK_LOCAL = frozenset({(Setting.ADDR_GEN_MODE, 1)})
_NOWHERE = MappingProxyType({network.Driver.MACVLAN: "dm-", network.Driver.IPVLAN: "di-"})


def _ground(net: network.Network) -> contract.Ground:
    options = child.of(net)
    if not options.parent:
        return contract.Ground(links=tuple(_pair_to_nowhere(net)))
    vlan = options.vlan
    if vlan is None:
        return contract.Ground()
    link = world.Link(
        name=options.parent,
        kind=Kind.VLAN,
        mark=vlan_mark(options.parent),
        parent=vlan.parent,
        mode=vlan.tag,
        adopts=True,
        settings=_NO_LINK_LOCAL,
    )
    return contract.Ground(links=(link,))


def vlan_mark(name: str) -> str:
    """VLAN links are shared by networks, so their mark is no network's id."""
    return f"vlan.{name}"


def _parent(net: network.Network, options: child.Child) -> str:
    return options.parent or f"{_NOWHERE[net.driver]}{ids.short(net.id)}"


def _pair_to_nowhere(net: network.Network) -> Iterator[world.Link]:
    name = _parent(net, child.of(net))
    here = world.Link(name=name, kind=Kind.VETH, mark=net.id, settings=_NO_LINK_LOCAL)
    yield here
    yield replace(here, name=f"dx-{ids.short(net.id)}", twin=name)


def _attach(net: network.Network, end: endpoint.Endpoint) -> contract.Attachment:
    options = child.of(net)
    is_macvlan = net.driver is network.Driver.MACVLAN
    return contract.Attachment(
        inner=world.Link(
            name=end.ifname,
            kind=Kind.MACVLAN if is_macvlan else Kind.IPVLAN,
            mark=end.id,
            mac=end.mac if is_macvlan else "",  # an ipvlan link has its parent's
            mtu=options.mtu,
            parent=_parent(net, options),
            mode=_MACVLAN[options.mode] if is_macvlan else _IPVLAN[options.ipvlan_mode],
            flags=0 if is_macvlan else _FLAGS[options.ipvlan_flag],
            settings=inside.settings(end),
        ),
        addresses=frozenset(world.Address(end.ifname, each) for each in end.addresses),
        ways=tuple(_ways(net, end, options)),
    )


def _ways(
    net: network.Network, end: endpoint.Endpoint, options: child.Child
) -> Iterator[contract.Way]:
    """In the L3 modes the parent's host routes: there is no neighbour to ask for."""
    if net.driver is network.Driver.IPVLAN and options.ipvlan_mode is not IpvlanMode.L2:
        versions = sorted({address.version for address in end.hosts})
        yield from (contract.Way(version, None) for version in versions if not net.internal)
    else:
        yield from contract.gateways(net, end)


TRANSLATOR = contract.Translator(_ground, _attach)

"""The macvlan and ipvlan drivers: each endpoint is a link of its own on a link of the host.

In: network, endpoint. Out: wanted values. The parent is the user's, or a VLAN link on it that we
make (and remove with its last network), or without a parent a veth pair that leads nowhere: it
has a carrier, and every kernel has it. With `host-access` the host has such a link too.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

from netns import world
from netns.drivers import contract, inside
from netns.world import Kind, Setting
from sdd.model import child, endpoint, ids, mac, network
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
_UNIQUE = frozenset({(Setting.ADDR_GEN_MODE, 0), (Setting.ACCEPT_DAD, 0)})
_IPV6 = 6
_NOWHERE = MappingProxyType({network.Driver.MACVLAN: "dm-", network.Driver.IPVLAN: "di-"})


def _ground(net: network.Network) -> contract.Ground:
    options = child.of(net)
    links, floor = tuple(_below(net, options)), _parent(net, options)
    if not options.host_access:
        return contract.Ground(links=links, floor=floor)
    return contract.Ground(
        links=(*links, _host_link(net, options)),
        floor=floor,
        addresses=frozenset(
            world.Address(_host_name(net), ipaddress.ip_interface(address))
            for address in child.host_addresses(net)
        ),
    )


def _below(net: network.Network, options: child.Child) -> Iterator[world.Link]:
    """The parent, when it is ours to make."""
    if not options.parent:
        yield from _pair_to_nowhere(net)
    elif (vlan := options.vlan) is not None:
        yield world.Link(
            name=options.parent,
            kind=Kind.VLAN,
            mark=vlan_mark(options.parent),
            parent=vlan.parent,
            mode=vlan.tag,
            adopts=True,
            settings=_NO_LINK_LOCAL | {(Setting.ARP, 1)},  # one on a dummy link is born without
        )


def _host_link(net: network.Network, options: child.Child) -> world.Link:
    """A sister of the sandboxes' links: the kernel lets nothing pass from a parent to its child.

    Neighbours who ask for the host's other addresses must not hear of this link.
    """
    has_ipv6 = any(each.version == _IPV6 for each in child.host_addresses(net))
    return replace(
        _link(net, options, _host_name(net)),
        mark=net.id,
        mac=mac.made_of(net.id) if net.driver is network.Driver.MACVLAN else "",
        settings=frozenset({(Setting.ARP_IGNORE, 1), _arp(options)})
        | (_UNIQUE if has_ipv6 else _NO_LINK_LOCAL),
    )


def _host_name(net: network.Network) -> str:
    return f"ha-{ids.short(net.id)}"


def _link(net: network.Network, options: child.Child, name: str) -> world.Link:
    is_macvlan = net.driver is network.Driver.MACVLAN
    return world.Link(
        name=name,
        kind=Kind.MACVLAN if is_macvlan else Kind.IPVLAN,
        mtu=options.mtu,
        parent=_parent(net, options),
        mode=_MACVLAN[options.mode] if is_macvlan else _IPVLAN[options.ipvlan_mode],
        flags=0 if is_macvlan else _FLAGS[options.ipvlan_flag],
    )


def _arp(options: child.Child) -> tuple[Setting, int]:
    """The L3 modes of ipvlan have no neighbours (drivers/net/ipvlan, ipvlan_set_port_mode)."""
    return Setting.ARP, int(not options.is_routed)


def vlan_mark(name: str) -> str:
    """VLAN links are shared by networks, so their mark is no network's id."""
    return f"vlan.{name}"


def _parent(net: network.Network, options: child.Child) -> str:
    return options.parent or f"{_NOWHERE[net.driver]}{ids.short(net.id)}"


def _pair_to_nowhere(net: network.Network) -> Iterator[world.Link]:
    options = child.of(net)
    here = world.Link(
        name=_parent(net, options),
        kind=Kind.VETH,
        mark=net.id,
        mtu=options.mtu or world.MTU,  # what stands on it can have no larger one
        settings=_NO_LINK_LOCAL,
    )
    yield here
    yield replace(here, name=f"dx-{ids.short(net.id)}", twin=here.name)


def _attach(net: network.Network, end: endpoint.Endpoint) -> contract.Attachment:
    options = child.of(net)
    is_macvlan = net.driver is network.Driver.MACVLAN
    return contract.Attachment(
        inner=replace(
            _link(net, options, end.ifname),
            mark=end.id,
            mac=end.mac if is_macvlan else "",  # an ipvlan link has its parent's
            settings=inside.settings(end) | {_arp(options)},
            sysctls=inside.sysctls(end),
        ),
        addresses=frozenset(world.Address(end.ifname, each) for each in end.carried),
        ways=tuple(_ways(net, end, options)),
        host_routes=frozenset(_host_routes(net, end, options)),
    )


def _host_routes(
    net: network.Network, end: endpoint.Endpoint, options: child.Child
) -> Iterator[world.Route]:
    """To this address alone: the rest of the subnet may be machines behind the parent."""
    versions = {each.version for each in child.host_addresses(net)} if options.host_access else ()
    for address in end.hosts:
        if address.version in versions:
            yield world.Route(
                destination=ipaddress.ip_network(address),
                link=_host_name(net),
                metric=world.METRIC6 if address.version == _IPV6 else 0,
            )


def _ways(
    net: network.Network, end: endpoint.Endpoint, options: child.Child
) -> Iterator[contract.Way]:
    """In the L3 modes the parent's host routes: there is no neighbour to ask for."""
    if options.is_routed:
        versions = sorted({address.version for address in end.hosts})
        yield from (contract.Way(version, None) for version in versions if not net.internal)
    else:
        yield from contract.gateways(net, end)


TRANSLATOR = contract.Translator(_ground, _attach)

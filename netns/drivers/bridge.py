"""The bridge driver: a Linux bridge on the host, a veth pair per endpoint.

In: network, endpoint. Out: wanted values. Options are checked by the commands, not here.
"""

import ipaddress

from netns import firewall, world
from netns.drivers import contract
from netns.world import Setting
from sdd.model import endpoint, network

_IPV6 = 6
_NO_LINK_LOCAL = (Setting.ADDR_GEN_MODE, 1)
_NO_ROUTER_ADVERTISEMENTS = (Setting.ACCEPT_RA, 0)
_QUIET = frozenset({_NO_LINK_LOCAL})
# A container is no router's client, and answers ARP for the address of the asked link only: a
# virtual address that lb puts into the sandbox must never be claimed on the network.
INSIDE = frozenset({_NO_ROUTER_ADVERTISEMENTS, (Setting.ARP_IGNORE, 1), (Setting.ARP_NOTIFY, 1)})


def _ground(net: network.Network) -> contract.Ground:
    subnets = frozenset(pool.subnet for pool in net.pools)
    versions = frozenset(subnet.version for subnet in subnets)
    return contract.Ground(
        links=(_bridge(net, has_ipv6=_IPV6 in versions),),
        addresses=frozenset(
            world.Address(net.device, _interface(pool.gateway, pool.subnet.prefixlen))
            for pool in net.pools
            if pool.gateway is not None
        ),
        fence=firewall.Fence(device=net.device, subnets=subnets, internal=net.internal),
        forwarding=frozenset() if net.internal else versions,
    )


def _bridge(net: network.Network, *, has_ipv6: bool) -> world.Link:
    settings = {_NO_ROUTER_ADVERTISEMENTS} if has_ipv6 else {_NO_LINK_LOCAL}
    return world.Link(
        name=net.device,
        kind=world.Kind.BRIDGE,
        mark=net.id,
        mac=_bridge_mac(net),
        mtu=net.mtu,
        adopts=network.OPTION_BRIDGE_NAME in net.options,
        settings=frozenset(settings),
    )


def _bridge_mac(net: network.Network) -> str:
    """Locally administered and fixed: else it follows the ports, and ARP caches go stale."""
    return ":".join(["02", *(net.id[place : place + 2] for place in range(0, 10, 2))])


def _attach(net: network.Network, end: endpoint.Endpoint) -> contract.Attachment:
    return contract.Attachment(
        outer=world.Link(
            name=end.host_link,
            kind=world.Kind.VETH,
            mark=end.id,
            mtu=net.mtu,
            master=net.device,
            settings=_QUIET,
        ),
        inner=world.Link(
            name=end.ifname,
            kind=world.Kind.VETH,
            mark=end.id,
            mac=end.mac,
            mtu=net.mtu,
            twin=end.host_link,
            settings=INSIDE,
        ),
        addresses=frozenset(world.Address(end.ifname, each) for each in end.addresses),
    )


def _interface(
    address: network.IPAddress, length: int
) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    return ipaddress.ip_interface((address, length))


TRANSLATOR = contract.Translator(_ground, _attach)

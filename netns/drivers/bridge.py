"""The bridge driver: a Linux bridge on the host, a veth pair per endpoint.

In: network, endpoint. Out: wanted values. Options are checked by the commands, not here.
"""

import ipaddress

from netns import firewall, world
from netns.drivers import contract, inside
from netns.world import Setting
from sdd import shared
from sdd.model import bridge, endpoint, mac, network
from sdd.model.bridge import GatewayMode

_IPV6 = 6
_NO_LINK_LOCAL = (Setting.ADDR_GEN_MODE, 1)
# A strict filter asks for the way back by the mark that lb gives: it is not the main table's.
_MARKED = frozenset({(Setting.SRC_VALID_MARK, 1)})
_NO_STP = (Setting.STP, 0)  # a port that has to listen first forwards after half a minute
_FORWARDS = (Setting.STATE, 3)
_ARP = (Setting.ARP, 1)
_FORWARDING = (Setting.FORWARDING, 1)  # of IPv6 the kernel asks the whole host alone
_PORT = world.NEWBORN_PORT | {_ARP, _NO_LINK_LOCAL, _FORWARDS}
# Isolated ports reach the bridge itself and the world, but not each other.
_LONELY_PORT = _PORT - {(Setting.ISOLATED, 0)} | {(Setting.ISOLATED, 1)}
_IPV6_BRIDGE = frozenset(
    {_NO_STP, _ARP, (Setting.ADDR_GEN_MODE, 0), (Setting.ACCEPT_RA, 0), (Setting.ACCEPT_DAD, 0)}
)
_PLAIN_BRIDGE = frozenset({_NO_STP, _ARP, _NO_LINK_LOCAL})


def _ground(net: network.Network) -> contract.Ground:
    options = bridge.of(net)
    versions = frozenset(pool.subnet.version for pool in net.pools)
    return contract.Ground(
        links=(_link(net, options, has_ipv6=_IPV6 in versions),),
        addresses=frozenset(
            world.Address(net.device, _interface(pool.gateway, pool.subnet.prefixlen))
            for pool in net.pools
            if pool.gateway is not None and options.is_gateway(pool)
        ),
        fence=firewall.Fence(
            device=net.device,
            sides=frozenset(_side(pool, options) for pool in net.pools),
            internal=net.internal,
            is_social=options.icc,
            trusted=options.trusted,
        ),
        forwarding=frozenset() if net.internal else versions,
    )


def _side(pool: network.Pool, options: bridge.Bridge) -> firewall.Side:
    version = pool.subnet.version
    mode = options.mode(version)
    return firewall.Side(
        subnet=pool.subnet,
        way=_WAYS[mode],
        masked=mode in _MASKED and options.masquerade,
        source=options.source(version),
    )


_MASKED = frozenset({GatewayMode.NAT, GatewayMode.NAT_UNPROTECTED})
_WAYS = {
    GatewayMode.NAT: firewall.Way.PUBLISHED,
    GatewayMode.NAT_UNPROTECTED: firewall.Way.OPEN,
    GatewayMode.ROUTED: firewall.Way.ROUTED,
    GatewayMode.ISOLATED: firewall.Way.PUBLISHED,  # internal: nothing crosses anyway
}


def _link(net: network.Network, options: bridge.Bridge, *, has_ipv6: bool) -> world.Link:
    has_address = has_ipv6 and options.has_gateway(_IPV6)
    settings = _IPV6_BRIDGE if has_address else _PLAIN_BRIDGE
    return world.Link(
        name=net.device,
        kind=world.Kind.BRIDGE,
        mark=net.id,
        mac=mac.made_of(net.id),
        mtu=options.mtu or world.MTU,
        adopts=bool(options.name),
        settings=settings if net.internal else shared.same(settings | {_FORWARDING}),
    )


def _attach(net: network.Network, end: endpoint.Endpoint) -> contract.Attachment:
    return contract.Attachment(
        outer=world.Link(
            name=end.host_link,
            kind=world.Kind.VETH,
            mark=end.id,
            mac=mac.made_of(end.id),
            mtu=net.mtu or world.MTU,
            master=net.device,
            settings=_PORT if bridge.of(net).icc else _LONELY_PORT,
        ),
        inner=world.Link(
            name=end.ifname,
            kind=world.Kind.VETH,
            mark=end.id,
            mac=end.mac,
            mtu=net.mtu or world.MTU,
            twin=end.host_link,
            settings=shared.same(
                inside.settings(end) | {_ARP} | (_MARKED if net.is_ingress else frozenset())
            ),
            sysctls=inside.sysctls(end),
        ),
        addresses=frozenset(world.Address(end.ifname, each) for each in end.carried),
        ways=tuple(contract.gateways(net, end)),
    )


def _interface(
    address: network.IPAddress, length: int
) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    return ipaddress.ip_interface((address, length))


TRANSLATOR = contract.Translator(_ground, _attach)

"""How the endpoints of a network can be reached: by the host, by its ports, by routes."""

from sdd.model import bridge, child, endpoint, network
from sdd.model.network import Driver


def is_on_host(net: network.Network) -> bool:
    """False where the kernel keeps a host from its own children, or the bridge has no address."""
    if net.driver in (Driver.MACVLAN, Driver.IPVLAN):
        return False
    if net.driver is not Driver.BRIDGE:
        return True
    options = bridge.of(net)
    return all(options.has_gateway(pool.subnet.version) for pool in net.pools)


def apart(net: network.Network) -> str:
    """The option by which sandboxes of the network do not reach each other; empty when they do."""
    if net.driver is Driver.BRIDGE:
        return "" if bridge.of(net).icc else "enable_icc=false"
    if net.driver not in child.OPTIONS:
        return ""
    options = child.of(net)
    if options.mode is child.MacvlanMode.PRIVATE:
        return "macvlan_mode=private"
    return "ipvlan_flag=private" if options.ipvlan_flag is child.IpvlanFlag.PRIVATE else ""


def published(net: network.Network) -> frozenset[int]:
    """The IP versions in which ports of this node can lead to the network's endpoints."""
    return _with_modes(net, _PUBLISHING)


def routed(net: network.Network) -> frozenset[int]:
    """The IP versions in which published ports are open at the endpoints' own addresses."""
    return _with_modes(net, _ROUTED)


def is_way_out(net: network.Network, end: endpoint.Endpoint, version: int) -> bool:
    """Whether the endpoint can give its sandbox a default route."""
    address = next((each for each in end.hosts if each.version == version), None)
    pool = None if address is None else net.pool_of(address)
    if pool is None or net.internal:
        return False
    is_routed = net.driver is Driver.IPVLAN and child.of(net).is_routed
    return pool.gateway is not None or is_routed


def _with_modes(net: network.Network, modes: frozenset[bridge.GatewayMode]) -> frozenset[int]:
    if net.driver is not Driver.BRIDGE or net.internal:
        return frozenset()
    options = bridge.of(net)
    return frozenset(
        pool.subnet.version
        for pool in net.pools
        if options.is_gateway(pool) and options.mode(pool.subnet.version) in modes
    )


_PUBLISHING = frozenset({bridge.GatewayMode.NAT, bridge.GatewayMode.NAT_UNPROTECTED})
_ROUTED = frozenset({bridge.GatewayMode.ROUTED})

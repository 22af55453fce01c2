"""Whether the host itself, and the ports it publishes, can reach the endpoints of a network."""

from sdd.model import bridge, network
from sdd.model.network import Driver


def is_on_host(net: network.Network) -> bool:
    """False where the kernel keeps a host from its own children, or the bridge has no address."""
    if net.driver in (Driver.MACVLAN, Driver.IPVLAN):
        return False
    if net.driver is not Driver.BRIDGE:
        return True
    options = bridge.of(net)
    return all(options.has_gateway(pool.subnet.version) for pool in net.pools)


def published(net: network.Network) -> frozenset[int]:
    """The IP versions in which ports of this node can lead to the network's endpoints."""
    if net.driver is not Driver.BRIDGE or net.internal:
        return frozenset()
    options = bridge.of(net)
    return frozenset(
        pool.subnet.version
        for pool in net.pools
        if pool.gateway is not None
        and options.has_gateway(pool.subnet.version)
        and options.mode(pool.subnet.version) in _PUBLISHING
    )


_PUBLISHING = frozenset({bridge.GatewayMode.NAT, bridge.GatewayMode.NAT_UNPROTECTED})

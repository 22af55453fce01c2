"""Whether the host itself can send packets to the endpoints of a network."""

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

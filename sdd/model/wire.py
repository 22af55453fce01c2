"""On which link of the host others may have the addresses of a network's sandboxes. Pure."""

from sdd.model import bridge, child, network


def of(net: network.Network) -> str:
    """The link whose neighbours are asked before an address is given; empty when nobody can be.

    Of a bridge network that is the bridge, if it may be one that the host had already.
    """
    if net.driver in child.OPTIONS:
        return child.of(net).wire
    if net.driver is network.Driver.BRIDGE:
        wanted = bridge.of(net)
        return wanted.name if wanted.duplicate_probe else ""
    return ""

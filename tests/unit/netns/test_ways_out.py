"""Where the model says that an endpoint gives a default route, one is made, and nowhere else."""

from dataclasses import replace

import pytest

from netns.desired import desired
from sdd.model import network, reach
from tests.netns_states import NODE, at, box, end, net

BOX = box("one", "/run/sdd/netns/one")
SUBNET = "10.1.0.0/24"
L3 = {"ipvlan_mode": "l3"}
MACVLAN, IPVLAN = network.Driver.MACVLAN, network.Driver.IPVLAN


def bare(of: network.Network) -> network.Network:
    """The same without a gateway."""
    return replace(of, pools=tuple(replace(each, gateway=None) for each in of.pools))


@pytest.mark.parametrize(
    ("on", "is_way_out"),
    [
        (net("bridge", SUBNET), True),
        (bare(net("bridge-bare", SUBNET)), False),
        (net("bridge-internal", SUBNET, internal=True), False),
        (net("macvlan", SUBNET, driver=MACVLAN), True),
        (bare(net("macvlan-bare", SUBNET, driver=MACVLAN)), False),
        (net("ipvlan", SUBNET, driver=IPVLAN), True),
        (bare(net("ipvlan-bare", SUBNET, driver=IPVLAN)), False),
        (net("l3", SUBNET, driver=IPVLAN, options=L3), True),
        (bare(net("l3-bare", SUBNET, driver=IPVLAN, options=L3)), True),
        (bare(net("l3-internal", SUBNET, driver=IPVLAN, options=L3, internal=True)), False),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_way_out_is_where_a_default_route_is(on: network.Network, is_way_out: bool) -> None:
    here = end(on, BOX, "10.1.0.2")
    made = desired(at(1, on, BOX, here), NODE).spaces[BOX.netns]
    routes = [each for each in made.routes if each.ours and each.destination.prefixlen == 0]
    assert bool(routes) is is_way_out
    assert reach.is_way_out(on, here, 4) is is_way_out

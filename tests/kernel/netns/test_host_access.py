"""The option host-access: the host reaches its sandboxes on a parent, and only those over it."""

import ipaddress
from collections.abc import Iterator

import pytest

from sdd import state
from sdd.model import child, ids, network
from tests.kernel.netns import outside
from tests.kernel.netns.conftest import Host
from tests.kernel.netns.outside import pings
from tests.netns_states import at, box, end, net
from tests.support import eventually

pytestmark = pytest.mark.kernel

MACVLAN = network.Driver.MACVLAN
SUBNETS = ("192.0.2.0/24", "2001:db8::/64")
LAN = net("lan", *SUBNETS, driver=MACVLAN, options={"parent": "up0", "host-access": "true"})
CLOSED = net("lan", *SUBNETS, driver=MACVLAN, options={"parent": "up0"})
OURS = [str(address) for address in child.host_addresses(LAN)]
ONE = ("192.0.2.50", "2001:db8::50")
LINK = f"ha-{ids.short(LAN.id)}"


@pytest.fixture
def neighbour(host: Host) -> Iterator[str]:
    with outside.neighbour(host) as path:
        yield path


def with_one(host: Host, lan: network.Network) -> state.ClusterState:
    one = box("one", host.sandbox_path("one"))
    return at(1, lan, one, end(lan, one, *ONE))


async def test_U36_host_and_sandbox_reach_each_other(host: Host, neighbour: str) -> None:
    await host.settle(with_one(host, LAN))
    for address in ONE:
        assert pings(host.path, address)
        assert pings(neighbour, address)
    for address in OURS:
        assert pings(host.sandbox_path("one"), address)
    # What is no sandbox of ours stays where it was: behind the parent.
    for address in (outside.THERE4, outside.THERE6):
        assert "dev up0" in host.run("ip", "route", "get", address)
        assert pings(host.path, address)
    assert OURS[0] in host.run("ip", "route", "get", ONE[0])


async def test_without_the_option_the_host_does_not_reach_them(host: Host, neighbour: str) -> None:
    assert neighbour
    await host.settle(with_one(host, CLOSED))
    assert not pings(host.path, ONE[0], outside.SILENCE_S)


async def test_host_access_without_a_parent(host: Host) -> None:
    alone = net("alone", "10.60.0.0/24", driver=MACVLAN, options={"host-access": "true"})
    one = box("one", host.sandbox_path("one"))
    await host.settle(at(1, alone, one, end(alone, one, "10.60.0.5")))
    assert pings(host.path, "10.60.0.5")
    await host.settle(at(2))
    assert "ha-" not in host.run("ip", "link")


async def test_without_a_parent_a_large_mtu_fits_what_stands_on_nothing(host: Host) -> None:
    options = {"host-access": "true", network.OPTION_MTU: "9000"}
    alone = net("alone", "10.60.0.0/24", driver=MACVLAN, options=options)
    one = box("one", host.sandbox_path("one"))
    await host.settle(at(1, alone, one, end(alone, one, "10.60.0.5")))
    assert "mtu 9000" in host.inside("one", "ip", "link", "show", "eth0")
    assert "8972(" in host.run("ping", "-c1", "-w30", "-Mdo", "-s8972", "10.60.0.5")


async def test_a_route_goes_with_its_sandbox_and_the_link_with_the_network(
    host: Host, neighbour: str
) -> None:
    assert neighbour
    await host.settle(with_one(host, LAN))
    assert LINK in host.run("ip", "route", "show", ONE[0])
    await host.settle(at(2, LAN))
    assert host.run("ip", "route", "show", ONE[0]) == ""
    assert LINK in host.run("ip", "link")
    await host.settle(at(3))
    assert LINK not in host.run("ip", "link")


@pytest.mark.parametrize(
    "damage",
    [
        f"ip link del {LINK}",
        f"ip link set {LINK} down",
        f"ip link set {LINK} alias x",
        f"ip link set {LINK} alias x group default && ip addr flush dev {LINK}",
        f"ip link set {LINK} arp off",
        f"ip link set {LINK} mtu 1300",
        f"ip link set {LINK} address 02:99:99:99:99:99",
        f"ip addr flush dev {LINK}",
        f"ip route del {ONE[0]}",
        f"ip -6 route del {ONE[1]}",
    ],
)
async def test_what_is_changed_by_hand_on_the_host_comes_back(
    host: Host, neighbour: str, damage: str
) -> None:
    assert neighbour
    now = with_one(host, LAN)
    await host.settle(now)
    host.run("sh", "-c", damage)
    outcome = await host.settle(now)
    assert outcome.repaired > 0
    # A solicitation that is lost is sent again only after a second (RFC 4861 §10).
    eventually(lambda: all(pings(host.path, each) for each in ONE), 60, "both answer the host")


async def test_routes_of_others_are_left_alone(host: Host, neighbour: str) -> None:
    assert neighbour
    now = with_one(host, LAN)
    await host.settle(now)
    host.run("ip", "route", "add", "198.51.100.0/24", "dev", LINK)
    host.run("ip", "route", "add", "203.0.113.0/24", "dev", "up0", "proto", "83")
    assert (await host.settle(now)).changed == 0
    assert ipaddress.ip_network(host.run("ip", "route", "show", "203.0.113.0/24").split()[0])


async def test_a_pair_to_nowhere_comes_back_in_one_pass_with_all_that_stood_on_it(
    host: Host,
) -> None:
    alone = net("alone", "10.60.0.0/24", driver=MACVLAN, options={"host-access": "true"})
    one = box("one", host.sandbox_path("one"))
    now = at(1, alone, one, end(alone, one, "10.60.0.5"))
    await host.settle(now)
    host.run("ip", "link", "set", f"dx-{ids.short(alone.id)}", "alias", "somebody's")
    host.run("ip", "link", "set", f"dx-{ids.short(alone.id)}", "group", "default")
    await host.settle(now)
    assert pings(host.path, "10.60.0.5")

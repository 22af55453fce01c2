"""VLAN parents and ipvlan: what the machine's kernel may lack works on Debian's."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from netns.kernel import strangers
from sdd import state
from sdd.model import child, network
from sdd.model.look import Look
from tests.kernel.netns import outside
from tests.kernel.netns.conftest import Host, host, run_in
from tests.kernel.netns.outside import pings
from tests.netns_states import at, box, end, net

__all__ = ["host"]

MACVLAN, IPVLAN = network.Driver.MACVLAN, network.Driver.IPVLAN
A, B = "192.0.2.50", "192.0.2.51"


@pytest.fixture
def neighbour(host: Host) -> Iterator[str]:
    """It knows nothing of us."""
    with outside.neighbour(host) as path:
        yield path


def tagged(path: str, tag: int, address: str) -> None:
    """The neighbour is on a VLAN too."""
    link = ("link", "eth0", "name", f"eth0.{tag}", "type", "vlan", "id", str(tag))
    run_in(path, "ip", "link", "add", *link)
    run_in(path, "ip", "link", "set", f"eth0.{tag}", "up")
    run_in(path, "ip", "addr", "add", address, "dev", f"eth0.{tag}")


def boxes(host: Host, *of: tuple[network.Network, str]) -> list[state.Object]:
    """A sandbox on each network with that address."""
    made: list[state.Object] = []
    for number, (on, address) in enumerate(of):
        one = box(f"s{number}", host.sandbox_path(f"s{number}"))
        made += [one, end(on, one, address)]
    return made


@pytest.mark.parametrize("driver", [MACVLAN, IPVLAN])
async def test_two_vlans_on_one_trunk_reach_the_machines_there(
    host: Host, neighbour: str, driver: network.Driver
) -> None:
    red = net("red", "10.0.0.0/24", driver=driver, options={"parent": "up0.100"})
    blue = net("blue", "192.168.3.0/24", driver=driver, options={"parent": "up0.200"})
    tagged(neighbour, 100, "10.0.0.1/24")
    tagged(neighbour, 200, "192.168.3.1/24")
    await host.settle(at(1, red, blue, *boxes(host, (red, "10.0.0.50"), (blue, "192.168.3.50"))))
    s0, s1 = host.sandbox_path("s0"), host.sandbox_path("s1")
    assert pings(s0, "10.0.0.1")
    assert pings(s1, "192.168.3.1")
    assert pings(neighbour, "10.0.0.50")
    assert not pings(s0, "192.168.3.50", outside.SILENCE_S)
    assert "vlan protocol 802.1Q id 100" in host.run("ip", "-d", "link", "show", "up0.100")
    await host.settle(at(2, blue))
    assert "up0.100" not in host.run("ip", "link")
    assert "up0.200" in host.run("ip", "link")
    await host.settle(at(3))
    assert "up0.200" not in host.run("ip", "link")


async def test_U38_neighbours_on_a_vlan_are_asked_before_its_link_is_made(
    host: Host, neighbour: str
) -> None:
    # Else Linux answers on each of its links for the addresses of all.
    run_in(neighbour, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    for tag, address in ((100, "10.0.0.7/24"), (200, "10.0.0.8/24")):
        tagged(neighbour, tag, address)
    run_in(neighbour, "ip", "addr", "add", "2001:db8:1::7/64", "dev", "eth0.100", "nodad")
    run_in(neighbour, "ip", "addr", "add", "10.0.0.9/24", "dev", "eth0")
    there, elsewhere = ("10.0.0.7", "2001:db8:1::7"), ("10.0.0.8", "10.0.0.9", "10.0.0.10")
    asked = [ip_address(each) for each in (*there, *elsewhere)]
    found = await strangers.ask(host.doors, "up0.100", asked)
    assert {str(ip) for ip, who in found.items() if who} == set(there)
    assert "up0.100" not in host.run("ip", "link")


async def test_C107_a_vlan_link_of_the_admin_is_used_and_kept(host: Host, neighbour: str) -> None:
    assert neighbour
    host.run("ip", "link", "add", "link", "up0", "name", "up0.20", "type", "vlan", "id", "20")
    lan = net("lan", "192.0.2.0/24", driver=MACVLAN, options={"parent": "up0.20"})
    await host.settle(at(1, lan, *boxes(host, (lan, A), (lan, B))))
    assert pings(host.sandbox_path("s0"), B)
    await host.settle(at(2))
    assert "up0.20@" in host.run("ip", "link")
    assert "alias" not in host.run("ip", "link", "show", "up0.20")


async def test_C109_C110_a_made_vlan_goes_with_its_last_network(host: Host, neighbour: str) -> None:
    assert neighbour
    options = {"parent": "up0.20"}
    first = net("first", "10.20.0.0/24", driver=MACVLAN, options=options)
    second = net("second", "10.21.0.0/24", driver=MACVLAN, options=options)
    await host.settle(at(1, first, second))
    await host.settle(at(2, second))
    assert "up0.20@" in host.run("ip", "link")
    await host.settle(at(3))
    assert "up0.20@" not in host.run("ip", "link")
    assert "up0" in host.run("ip", "link")


async def test_a_vlan_on_no_parent_fails_all_its_networks_with_its_name(host: Host) -> None:
    options = {"parent": "up0.20"}
    nets = [
        net(name, f"10.2{n}.0.0/24", driver=MACVLAN, options=options) for n, name in enumerate("ab")
    ]
    outcome = await host.realise(at(1, *nets))
    assert {failure.subject for failure in outcome.failures} == {each.id for each in nets}
    assert all("'up0'" in failure.sentence for failure in outcome.failures)


async def test_a_deleted_vlan_and_its_children_come_back(host: Host, neighbour: str) -> None:
    tagged(neighbour, 100, "10.0.0.1/24")
    red = net("red", "10.0.0.0/24", driver=MACVLAN, options={"parent": "up0.100"})
    now = at(1, red, *boxes(host, (red, "10.0.0.50")))
    await host.settle(now)
    host.run("ip", "link", "del", "up0.100")
    outcome = await host.settle(now)
    assert outcome.repaired == outcome.changed > 0
    assert pings(neighbour, "10.0.0.50")


async def test_one_look_at_a_renamed_vlan_brings_it_back_with_its_children(
    host: Host, neighbour: str
) -> None:
    tagged(neighbour, 100, "10.0.0.1/24")
    red = net("red", "10.0.0.0/24", driver=MACVLAN, options={"parent": "up0.100"})
    now = at(1, red, *boxes(host, (red, "10.0.0.50")))
    await host.settle(now)
    host.run("ip", "link", "set", "up0.100", "down")  # an older kernel renames no link that is up
    host.run("ip", "link", "set", "up0.100", "name", "moved0")
    heard = Look(links=frozenset({"up0.100", "moved0"}))
    outcome = await host.reconciler.realise(now, heard)
    assert (outcome.failures, outcome.repaired) == ((), outcome.changed)
    assert pings(neighbour, "10.0.0.50")
    assert "moved0" not in host.run("ip", "link")
    assert (await host.realise(now)).changed == 0


def described(host: Host, link: str) -> str:
    """All of it but whether it carries, which the kernel finds out a moment later."""
    return re.sub(r" state \S+", "", host.run("ip", "-d", "link", "show", link))


@pytest.mark.parametrize(
    ("damage", "heard"),
    [
        ("ip link set up0.100 arp off", {"up0.100"}),
        ("ip link set up0.100 mtu 1300", {"up0.100"}),
        ("ip link set up0 mtu 1300 && ip link set up0 mtu 1500", {"up0", "up0.100"}),
        ("ip link set up0.100 alias x", {"up0.100"}),
    ],
)
async def test_a_made_vlan_that_hands_changed_is_as_it_was_after_one_look_at_it(
    host: Host, neighbour: str, damage: str, heard: set[str]
) -> None:
    tagged(neighbour, 100, "10.0.0.1/24")
    red = net("red", "10.0.0.0/24", driver=MACVLAN, options={"parent": "up0.100"})
    now = at(1, red, *boxes(host, (red, "10.0.0.50")))
    await host.settle(now)
    before = described(host, "up0.100")
    host.run("sh", "-c", damage)
    outcome = await host.reconciler.realise(now, Look(links=frozenset(heard)))
    assert outcome.failures == ()
    assert outcome.repaired == outcome.changed > 0
    assert described(host, "up0.100") == before
    assert "mtu 1500 " in host.inside("s0", "ip", "link", "show", "eth0")
    assert pings(neighbour, "10.0.0.50")
    assert (await host.realise(now)).changed == 0


async def test_a_parent_that_grows_takes_its_vlan_and_what_stands_there_along(
    host: Host, neighbour: str
) -> None:
    assert neighbour
    red = net("red", "10.0.0.0/24", driver=MACVLAN, options={"parent": "up0.100"})
    now = at(1, red, *boxes(host, (red, "10.0.0.50")))
    await host.settle(now)
    for mtu in ("1300", "1500", "1600"):
        host.run("ip", "link", "set", "up0", "mtu", mtu)
        outcome = await host.reconciler.realise(now, Look(links=frozenset({"up0"})))
        assert outcome.failures == ()
        assert f"mtu {mtu} " in host.run("ip", "link", "show", "up0.100")
        assert f"mtu {mtu} " in host.inside("s0", "ip", "link", "show", "eth0")
        assert (await host.realise(now)).changed == 0


@pytest.mark.parametrize("driver", [MACVLAN, IPVLAN])
async def test_a_vlan_on_a_link_without_arp_has_neighbours(
    host: Host, driver: network.Driver
) -> None:
    host.run("ip", "link", "add", "up0", "type", "dummy")
    host.run("ip", "link", "set", "up0", "up")
    red = net("red", "10.0.0.0/24", driver=driver, options={"parent": "up0.100"})
    await host.settle(at(1, red, *boxes(host, (red, "10.0.0.50"), (red, "10.0.0.51"))))
    assert pings(host.sandbox_path("s0"), "10.0.0.51")


@pytest.mark.parametrize("damage", ["mode l2 private", "mode l3"])
async def test_a_mode_of_ipvlan_changed_by_hand_comes_back(
    host: Host, neighbour: str, damage: str
) -> None:
    lan = net("lan", "192.0.2.0/24", driver=IPVLAN, options={"parent": "up0"})
    now = at(1, lan, *boxes(host, (lan, A), (lan, B)))
    await host.settle(now)
    host.inside("s0", "ip", "link", "set", "eth0", "type", "ipvlan", *damage.split())
    assert "ipvlan mode l2 bridge" not in details(host)
    outcome = await host.settle(now)
    assert outcome.repaired == outcome.changed > 0
    assert "ipvlan mode l2 bridge" in details(host)
    assert pings(host.sandbox_path("s0"), B)
    assert pings(neighbour, A)


@pytest.mark.parametrize(("flag", "talk"), [("bridge", True), ("private", False), ("vepa", False)])
async def test_peers_49_ipvlan_l2_is_a_switch_with_its_flags(
    host: Host, neighbour: str, flag: str, talk: bool
) -> None:
    options = {"parent": "up0", "ipvlan_flag": flag}
    lan = net("lan", "192.0.2.0/24", driver=IPVLAN, options=options)
    await host.settle(at(1, lan, *boxes(host, (lan, A), (lan, B))))
    assert pings(neighbour, A)
    assert pings(host.sandbox_path("s0"), B, outside.limit_s(talk)) is talk
    assert f"ipvlan mode l2 {flag}" in details(host)


def details(host: Host) -> str:
    return " ".join(host.inside("s0", "ip", "-d", "link", "show", "eth0").split())


@pytest.mark.parametrize("mode", ["l3", "l3s"])
async def test_peers_49_ipvlan_l3_routes_without_neighbours(
    host: Host, neighbour: str, mode: str
) -> None:
    options = {"parent": "up0", "ipvlan_mode": mode}
    far = net("far", "10.77.0.0/24", driver=IPVLAN, options=options)
    await host.settle(at(1, far, *boxes(host, (far, "10.77.0.2"), (far, "10.77.0.3"))))
    s0 = host.sandbox_path("s0")
    assert run_in(s0, "ip", "route", "show", "default").startswith("default dev eth0")
    assert f"ipvlan mode {mode}" in details(host)
    assert pings(s0, "10.77.0.3")
    # To its neighbours such a network is behind the host.
    outside.route(neighbour, "10.77.0.0/24")
    assert pings(neighbour, "10.77.0.2")


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
async def test_U36_the_host_reaches_its_sandboxes_on_ipvlan(
    host: Host, neighbour: str, mode: str
) -> None:
    options = {"parent": "up0", "ipvlan_mode": mode, "host-access": "true"}
    far = net("far", "10.77.0.0/24", driver=IPVLAN, options=options)
    await host.settle(at(1, far, *boxes(host, (far, "10.77.0.2"))))
    assert neighbour
    assert pings(host.path, "10.77.0.2")
    (kept,) = child.host_addresses(far)
    assert pings(host.sandbox_path("s0"), str(kept))


async def test_C112_ipvlan_without_a_parent(host: Host) -> None:
    alone = net("alone", "10.88.0.0/24", driver=IPVLAN, internal=True)
    await host.settle(at(1, alone, *boxes(host, (alone, "10.88.0.2"), (alone, "10.88.0.3"))))
    assert pings(host.sandbox_path("s0"), "10.88.0.3")
    await host.settle(at(2))
    assert "di-" not in host.run("ip", "link")


async def test_C80_an_l3_ipvlan_gives_way_to_a_bridge_and_takes_over_again(host: Host) -> None:
    host.run("ip", "link", "add", "up0", "type", "dummy")
    routed = net(
        "routed", "10.77.0.0/24", driver=IPVLAN, options={"parent": "up0", "ipvlan_mode": "l3"}
    )
    bridged = net("bridged", "10.78.0.0/24")
    one = box("one", host.sandbox_path("one"))
    first = end(bridged, one, "10.78.0.2", ifname="eth0")
    low, high = (
        end(routed, one, "10.77.0.2", ifname="eth1", gw_priority=number) for number in (-1, 1)
    )

    def default() -> str:
        return host.inside("one", "ip", "route", "show", "default").split(" proto")[0].strip()

    await host.settle(at(1, routed, bridged, one, first, low))
    assert default() == "default via 10.78.0.1 dev eth0"
    await host.settle(at(2, routed, bridged, one, first, high))
    assert default() == "default dev eth1"
    await host.settle(at(3, routed, bridged, one, high))
    assert default() == "default dev eth1"


async def test_C119_a_parent_serves_macvlan_or_ipvlan(host: Host, neighbour: str) -> None:
    assert neighbour
    lan = net("lan", "192.0.2.0/24", driver=MACVLAN, options={"parent": "up0"})
    other = net("other", "10.77.0.0/24", driver=IPVLAN, options={"parent": "up0"})
    outcome = await host.realise(at(1, lan, other, *boxes(host, (lan, A), (other, "10.77.0.2"))))
    (failure,) = outcome.failures
    assert "the other of macvlan and ipvlan" in failure.hint

"""What may cross a network's border, seen with ping and nc from the sandboxes."""

import subprocess
from collections.abc import Iterator

import pytest

from sdd import state
from tests.kernel.netns import outside
from tests.kernel.netns.conftest import Host, run_in
from tests.kernel.netns.outside import pings
from tests.netns_states import at, box, end, net

pytestmark = pytest.mark.kernel

OPEN = net("open", "10.70.0.0/24", "fd70::/64")
OTHER = net("other", "10.71.0.0/24", "fd71::/64")
INNER = net("inner", "10.72.0.0/24", "fd72::/64", internal=True)


def three_networks(host: Host) -> state.ClusterState:
    boxes = {name: box(name, host.sandbox_path(name)) for name in ("a", "b", "c", "both")}
    return at(
        1,
        OPEN,
        OTHER,
        INNER,
        *boxes.values(),
        end(OPEN, boxes["a"], "10.70.0.2", "fd70::2"),
        end(OTHER, boxes["b"], "10.71.0.2", "fd71::2"),
        end(INNER, boxes["c"], "10.72.0.2", "fd72::2"),
        end(INNER, boxes["both"], "10.72.0.3", "fd72::3"),
        end(OTHER, boxes["both"], "10.71.0.3", "fd71::3", ifname="eth1"),
    )


@pytest.fixture
def uplink(host: Host) -> Iterator[str]:
    """A neighbour of the host at 192.0.2.9 and 2001:db8::9 that knows no way to any sandbox."""
    path = str(host.root / "t-netns-outside")
    run_in(host.path, "sh", "-c", f"touch {path}; unshare --net={path} true")
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "eth0", "netns", path)
    for where, link, number in ((host.path, "up0", 1), (path, "eth0", 9)):
        run_in(where, "ip", "addr", "add", f"192.0.2.{number}/24", "dev", link)
        run_in(where, "ip", "addr", "add", f"2001:db8::{number}/64", "dev", link, "nodad")
        run_in(where, "ip", "link", "set", link, "up")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("target", ["192.0.2.9", "2001:db8::9"])
async def test_what_leaves_the_host_is_masqueraded(host: Host, uplink: str, target: str) -> None:
    await host.settle(three_networks(host))
    assert uplink
    for name in ("a", "both"):
        assert pings(host.sandbox_path(name), target)


@pytest.mark.parametrize("target", ["10.71.0.2", "fd71::2", "10.72.0.2", "fd72::2"])
async def test_C83_bridges_do_not_reach_each_other(host: Host, target: str) -> None:
    await host.settle(three_networks(host))
    assert not pings(host.sandbox_path("a"), target, outside.SILENCE_S)


async def test_C86_an_internal_network_reaches_its_gateway_and_nothing_else(
    host: Host, uplink: str
) -> None:
    await host.settle(three_networks(host))
    assert uplink
    for gateway in ("10.72.0.1", "fd72::1", "10.72.0.3"):
        assert pings(host.sandbox_path("c"), gateway)
    for target in ("192.0.2.9", "2001:db8::9", "10.71.0.2"):
        assert "unreachable" in host.inside("c", "ping", "-c1", "-W10", target, check=False)


async def test_C86_not_even_when_the_container_makes_itself_a_route(
    host: Host, uplink: str
) -> None:
    await host.settle(three_networks(host))
    assert uplink
    host.inside("c", "ip", "route", "add", "default", "via", "10.72.0.1")
    for target in ("192.0.2.9", "10.70.0.2"):
        assert not pings(host.sandbox_path("c"), target, outside.SILENCE_S)


async def test_an_outsider_who_knows_the_way_gets_no_further_than_the_host(
    host: Host, uplink: str
) -> None:
    await host.settle(three_networks(host))
    for subnet in ("10.70.0.0/24", "10.72.0.0/24"):
        run_in(uplink, "ip", "route", "add", subnet, "via", "192.0.2.1")
    for target in ("10.70.0.2", "10.72.0.2"):
        said = run_in(uplink, "ping", "-c1", "-W1", target, check=False)
        assert "100% packet loss" in said


async def test_the_host_reaches_every_sandbox(host: Host) -> None:
    await host.settle(three_networks(host))
    for target in ("10.70.0.2", "10.71.0.2", "10.72.0.2", "fd72::2"):
        host.run("ping", "-c1", "-w30", target)


async def test_the_number_of_rules_does_not_grow_with_networks(host: Host) -> None:
    await host.settle(at(1, OPEN))
    few = host.run("nft", "-s", "list", "chains", "inet"), rules(host)
    more = [net(f"n{number}", f"10.{number}.0.0/24") for number in range(50)]
    await host.settle(at(2, OPEN, *more))
    assert (host.run("nft", "-s", "list", "chains", "inet"), rules(host)) == few


def rules(host: Host) -> int:
    listed = host.run("nft", "-j", "list", "table", "inet", "sdd")
    return listed.count('"rule":')

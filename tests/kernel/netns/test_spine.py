"""A state by hand becomes kernel objects, judged by ip, ping and nft."""

import json

import pytest

from sdd import state
from tests.kernel.netns.conftest import Host
from tests.netns_states import at, box, end, net

pytestmark = pytest.mark.kernel


def two_boxes(host: Host) -> state.ClusterState:
    front = net("front", "10.70.0.0/24", "fd70::/64")
    boxes = [box(name, host.sandbox_path(name)) for name in ("web1", "web2")]
    ends = [
        end(front, each, f"10.70.0.{number}", f"fd70::{number}")
        for number, each in enumerate(boxes, 2)
    ]
    return at(1, front, *boxes, *ends)


async def test_two_sandboxes_reach_each_other_and_their_gateway(host: Host) -> None:
    await host.settle(two_boxes(host))
    for target in ("10.70.0.3", "10.70.0.1", "fd70::3", "fd70::1"):
        host.inside("web1", "ping", "-c1", "-w30", target)
    assert "default via 10.70.0.1 dev eth0" in host.inside("web1", "ip", "route")
    assert "default via fd70::1 dev eth0" in host.inside("web1", "ip", "-6", "route")


async def test_links_carry_the_mark_and_the_wanted_numbers(host: Host) -> None:
    now = two_boxes(host)
    await host.settle(now)
    first = next(iter(now.endpoints.values()))
    (outer,) = json.loads(host.run("ip", "-j", "-d", "link", "show", first.host_link))
    assert outer["ifalias"] == f"sdd:{first.id}"
    assert outer["master"].startswith("br-")
    (inner,) = json.loads(host.inside("web1", "ip", "-j", "-d", "link", "show", "eth0"))
    assert (inner["ifalias"], inner["address"]) == (f"sdd:{first.id}", first.mac)
    assert host.inside("web1", "cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore").strip() == "1"
    assert host.inside("web1", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra").strip() == "0"
    assert host.inside("web1", "ip", "-br", "link", "show", "lo").split()[1] == "UNKNOWN"


async def test_an_empty_state_leaves_nothing(host: Host) -> None:
    await host.settle(two_boxes(host))
    await host.settle(at(2))
    assert [each["ifname"] for each in json.loads(host.run("ip", "-j", "link"))] == ["lo"]
    assert host.run("nft", "list", "tables") == ""
    assert not list((host.root / "exec" / "netns").iterdir())
    assert not list((host.root / "var-run-netns").iterdir())


async def test_no_end_of_a_pair_without_ipv6_ever_has_an_address_of_it(host: Host) -> None:
    """Whatever the kernel thinks of the carrier while a link is made, in twenty tries."""
    front = net("front", "10.70.0.0/24")
    boxes = [box(f"b{number}", host.sandbox_path(f"b{number}")) for number in range(20)]
    made: list[state.Object] = [front]
    for number, each in enumerate(boxes, 2):
        made += [each, end(front, each, f"10.70.0.{number}")]
        await host.settle(at(number, *made))
    shown = [host.inside(each.name, "ip", "-6", "addr", "show", "dev", "eth0") for each in boxes]
    assert [*shown, host.run("ip", "-6", "addr", "show", "scope", "link")] == [""] * 21

"""macvlan networks end to end: neighbours, names, services and health as on a bridge."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.appliance import Appliance, run

THERE = "192.0.2.9"


@pytest.fixture(scope="module", autouse=True)
def neighbour(daemon: Appliance) -> Iterator[str]:
    """A machine on the host's link up0 that knows nothing of us."""
    other = f"{daemon.host}-lan"
    run("ip", "netns", "add", other)
    daemon.on_host("ip", "link", "add", "up0", "type", "veth", "peer", "eth0", "netns", other)
    daemon.on_host("ip", "addr", "add", "192.0.2.1/24", "dev", "up0")
    daemon.on_host("ip", "link", "set", "up0", "up")
    run("ip", "-n", other, "addr", "add", f"{THERE}/24", "dev", "eth0")
    run("ip", "-n", other, "link", "set", "eth0", "up")
    lan = ("--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.64/26", "-o", "parent=up0")
    daemon.sdctl("network", "create", "lan", "-d", "macvlan", *lan)
    for name in ("web1", "web2", "client"):
        daemon.sandbox(name, "--network", "lan")
    yield other
    run("ip", "netns", "del", other)


def address(daemon: Appliance, name: str) -> str:
    (box,) = daemon.json("sandbox", "inspect", daemon.name(name))
    return str(next(iter(box["Networks"].values()))["IPAddress"])


def test_sandboxes_and_neighbours_reach_each_other(daemon: Appliance, neighbour: str) -> None:
    web = address(daemon, "web1")
    assert web.startswith("192.0.2.6")
    run("ip", "netns", "exec", neighbour, "ping", "-c1", "-W30", web)
    daemon.inside("web1", "ping", "-c1", "-W30", THERE)


def test_names_work_as_on_a_bridge(daemon: Appliance) -> None:
    assert daemon.inside("client", "ping", "-c1", "-W30", "web1").returncode == 0


def test_a_service_is_checked_from_inside_and_balanced(daemon: Appliance) -> None:
    health = ("--health", "tcp:80", "--health-interval", "0.3s", "--scheduler", "rr")
    daemon.sdctl("service", "create", "web", "--network", "lan", *health)
    servers = {}
    for name in ("web1", "web2"):
        servers[name] = daemon.serve(name)
        daemon.sdctl("service", "join", "web", daemon.name(name))

    daemon.until_replicas("web", "2/2")
    loop = "for i in $(seq 10); do curl -s -m30 http://web/ || exit 1; done"
    said = daemon.inside("client", "sh", "-c", loop).stdout
    assert "from web1," in said
    assert "from web2," in said
    servers["web2"].terminate()
    daemon.until_replicas("web", "1/2")
    assert "from web2," not in daemon.inside("client", "sh", "-c", loop).stdout


@pytest.mark.parametrize(
    ("command", "code", "word"),
    [
        ("network create x -d macvlan -o parent=lo", "SDD-NET-OPTION", "loopback"),
        ("network create x -d macvlan -o macvlan_mode=hub", "SDD-NET-OPTION", "passthru"),
        ("network create x -d ipvlan -o parent=up0", "SDD-NET-PARENT", "macvlan"),
        ("network create x -d macvlan -o parent=nope.7", "SDD-NET-PARENT", "nope"),
        ("network create x -d macvlan -o parent=nope", "SDD-NET-PARENT", "ip -br link"),
        ("network create x -d macvlan -o parent=up0.0", "SDD-NET-PARENT", "1 to 4094"),
        ("network create x -d macvlan -o parent=up0.4095", "SDD-NET-PARENT", "1 to 4094"),
        ("network create x -d macvlan -o parent=up0.10.20", "SDD-NET-PARENT", "VLAN on a VLAN"),
        (
            "network create x -d macvlan -o parent=up0 -o com.docker.network.driver.mtu=9000",
            "SDD-NET-OPTION",
            "at most 1500",
        ),
        ("network create x --ipv6 -o com.docker.network.driver.mtu=1000", "SDD-NET-OPTION", "1280"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    daemon: Appliance, command: str, code: str, word: str
) -> None:
    before = daemon.sdctl("network", "ls", "-q").stdout
    refused = daemon.sdctl(*command.split(), check=False)
    assert refused.returncode == 1
    assert f"[{code}]" in refused.stderr
    assert word in refused.stderr
    assert daemon.sdctl("network", "ls", "-q").stdout == before


def test_U36_with_host_access_the_host_reaches_its_sandboxes(daemon: Appliance) -> None:
    lan = ("--subnet", "198.51.100.0/24", "-o", "parent=up0")
    kept = ("-o", "host-access=true", "--aux-address", "host-access=198.51.100.250")
    daemon.sdctl("network", "create", "open", "-d", "macvlan", *lan, *kept)
    daemon.sandbox("seen", "--network", "open")
    daemon.on_host("ping", "-c1", "-W30", address(daemon, "seen"))
    daemon.inside("seen", "ping", "-c1", "-W30", "198.51.100.250")
    daemon.on_host("ping", "-c1", "-W30", THERE)
    (network,) = daemon.json("network", "inspect", "open")
    assert network["IPAM"]["Config"][0]["AuxiliaryAddresses"] == {"host-access": "198.51.100.250"}


def test_U38_the_address_of_another_machine_is_not_given(daemon: Appliance) -> None:
    before = daemon.sdctl("sandbox", "ls", "-q").stdout
    asked = ("sandbox", "create", daemon.name("twin"), "--network", f"lan,ip={THERE}")
    refused = daemon.sdctl(*asked, check=False)
    assert refused.returncode == 1
    assert "[SDD-IPAM-DUPLICATE]" in refused.stderr
    assert "another machine, " in refused.stderr
    assert daemon.sdctl("sandbox", "ls", "-q").stdout == before


def test_U38_the_host_does_not_take_the_address_of_another_machine(
    daemon: Appliance, neighbour: str
) -> None:
    run("ip", "-n", neighbour, "addr", "add", "203.0.113.1/24", "dev", "eth0")
    lan = ("--subnet", "203.0.113.0/24", "-o", "parent=up0", "-o", "host-access=true")
    daemon.sdctl("network", "create", "careful", "-d", "macvlan", *lan)
    (network,) = daemon.json("network", "inspect", "careful")
    daemon.sdctl("network", "rm", "careful")
    run("ip", "-n", neighbour, "addr", "del", "203.0.113.1/24", "dev", "eth0")
    kept = network["IPAM"]["Config"][0]["AuxiliaryAddresses"]
    assert kept == {"host-access": "203.0.113.2"}


def test_inspect_shows_the_driver_and_its_options(daemon: Appliance) -> None:
    (network,) = json.loads(daemon.sdctl("network", "inspect", "lan").stdout)
    assert (network["Driver"], network["Options"]) == ("macvlan", {"parent": "up0"})
    assert "Gateway" not in network["IPAM"]["Config"][0]


def test_a_removed_sandbox_leaves_the_lan(daemon: Appliance, neighbour: str) -> None:
    name = daemon.sandbox("brief", "--network", "lan")
    target = address(daemon, "brief")
    daemon.sdctl("sandbox", "rm", name)
    gone = run("ip", "netns", "exec", neighbour, "ping", "-c1", "-W1", target, check=False)
    assert gone.returncode != 0

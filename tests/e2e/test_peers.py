"""The checks of netavark's suites on bridge, macvlan and addresses, re-expressed (peers.md §4)."""

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.appliance import BIN, Appliance, run, until


@pytest.fixture
def guest(daemon: Appliance) -> Iterator[str]:
    """A namespace of somebody else, by its name."""
    name = daemon.name("guest")
    run("ip", "netns", "add", name)
    yield name
    daemon.sdctl("sandbox", "rm", "-f", name)
    run("ip", "netns", "del", name, check=False)


def links(daemon: Appliance) -> set[str]:
    return {each["ifname"] for each in json.loads(daemon.on_host("ip", "-j", "link").stdout)}


def link(daemon: Appliance, sandbox: str, name: str) -> dict[str, object]:
    (found,) = json.loads(daemon.inside(sandbox, "ip", "-d", "-j", "link", "show", name).stdout)
    assert isinstance(found, dict)
    return found


def test_peers_38_a_namespace_that_is_not_there_is_refused(daemon: Appliance) -> None:
    before = daemon.json("sandbox", "ls")
    done = daemon.sdctl("sandbox", "attach", "x", "--netns", "/run/netns/nowhere", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "/run/netns/nowhere is no network namespace [SDD-SANDBOX-NETNS]" in done.stderr
    assert daemon.json("sandbox", "ls") == before


def test_peers_40_a_bridge_with_all_that_belongs_to_it_comes_and_goes(daemon: Appliance) -> None:
    identity = daemon.sdctl("network", "create", "p40", "--subnet", "10.140.0.0/24").stdout.strip()
    bridge = f"br-{identity[:12]}"
    mac = "02:11:22:33:44:55"
    name = daemon.sandbox("p40", "--network", f"p40,ip=10.140.0.9,mac={mac}")
    (own,) = json.loads(daemon.on_host("ip", "-d", "-j", "link", "show", bridge).stdout)
    assert "UP" in own["flags"]
    assert own["linkinfo"]["info_data"]["stp_state"] == 0
    ports = json.loads(daemon.on_host("ip", "-j", "link", "show", "master", bridge).stdout)
    assert len(ports) == 1
    assert link(daemon, "p40", "eth0")["address"] == mac
    # The kernel looks after carriers by itself, at its own pace.
    until(lambda: link(daemon, "p40", "eth0")["operstate"] == "UP", 60, "its link is up")
    assert "10.140.0.9/24" in daemon.inside("p40", "ip", "-br", "addr", "show", "eth0").stdout
    assert "default via 10.140.0.1 dev eth0" in daemon.inside("p40", "ip", "route").stdout
    switches = ("net.ipv4.conf.eth0.arp_notify", "net.ipv6.conf.eth0.accept_ra")
    assert daemon.inside("p40", "sysctl", "-n", *switches).stdout.split() == ["1", "0"]
    daemon.sdctl("sandbox", "rm", name)
    assert ports[0]["ifname"] not in links(daemon)
    assert bridge in links(daemon)  # it is the network's, and stays as long as that
    daemon.sdctl("network", "rm", "p40")
    assert bridge not in links(daemon)


@pytest.mark.parametrize("order", [("p43a", "p43b"), ("p43b", "p43a")])
def test_peers_43_the_default_route_does_not_depend_on_the_order(
    daemon: Appliance, order: tuple[str, str]
) -> None:
    for number, name in enumerate(("p43a", "p43b")):
        daemon.sdctl("network", "create", name, "--subnet", f"10.143.{number}.0/24", "--ignore")
    first, second = order
    name = daemon.sandbox(f"p43{first}", "--network", first)
    daemon.sdctl("network", "connect", second, name)
    for _ in range(2):
        (default,) = json.loads(run("ip", "-n", name, "-j", "route", "show", "default").stdout)
        assert (default["gateway"], default.get("metric", 0)) == ("10.143.0.1", 0)
        daemon.sdctl("network", "disconnect", second, name)
        daemon.sdctl("network", "connect", second, name)
    daemon.sdctl("sandbox", "rm", name)


def test_peers_44_C80_without_ipv6_in_the_namespace_there_is_none_in_names(
    daemon: Appliance, guest: str
) -> None:
    subnets = ("--subnet", "10.144.0.0/24", "--subnet", "fd00:144::/64")
    daemon.sdctl("network", "create", "p44", *subnets)
    run("ip", "netns", "exec", guest, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    asked = ("sandbox", "attach", guest, "--netns", f"/run/netns/{guest}", "--network")
    done = daemon.sdctl(*asked, "p44,ip6=fd00:144::9", check=False)
    assert "IPv6 is switched off there [SDD-NET-NOIPV6]" in done.stderr
    daemon.sdctl(*asked, "p44,ip=10.144.0.9,alias=plain")
    assert "inet6" not in run("ip", "-n", guest, "addr", "show", "eth0").stdout
    daemon.sandbox("p44", "--network", "p44")
    assert daemon.inside("p44", "getent", "ahostsv4", "plain").stdout.startswith("10.144.0.9")
    found = daemon.sdctl("dns", "query", "plain", "AAAA", "--from", daemon.name("p44"), check=False)
    assert found.returncode == 4  # NODATA


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
def test_peers_47_a_macvlan_link_has_its_mode_and_mtu(daemon: Appliance, mode: str) -> None:
    daemon.on_host("ip", "link", "add", "p47", "type", "veth", "peer", "name", "p47far")
    options = ["-o", "parent=p47", "-o", f"macvlan_mode={mode}"]
    options += ["-o", "com.docker.network.driver.mtu=1400", "--internal"]
    daemon.sdctl("network", "create", f"p47{mode}", "-d", "macvlan", *options)
    daemon.sandbox(f"p47{mode}", "--network", f"p47{mode}")
    found = link(daemon, f"p47{mode}", "eth0")
    assert found["mtu"] == 1400
    info = found["linkinfo"]
    assert isinstance(info, dict)
    assert (info["info_kind"], info["info_data"]["mode"]) == ("macvlan", mode)
    assert daemon.inside(f"p47{mode}", "ip", "route", "show", "default").stdout == ""
    daemon.sdctl("sandbox", "rm", daemon.name(f"p47{mode}"))
    daemon.sdctl("network", "rm", f"p47{mode}")
    daemon.on_host("ip", "link", "del", "p47")


def test_peers_50_an_existing_bridge_is_as_before_in_the_end(daemon: Appliance) -> None:
    daemon.on_host("ip", "link", "add", "p50", "type", "bridge", "mcast_snooping", "0")
    daemon.on_host("ip", "addr", "add", "10.250.0.1/24", "dev", "p50")
    daemon.on_host("ip", "link", "set", "p50", "mtu", "1400", "up")
    show = ("ip", "-d", "-br", "addr", "show", "p50")
    before = daemon.on_host(*show).stdout.split()[2:]
    options = ("-o", "com.docker.network.bridge.name=p50", "--subnet", "10.150.0.0/24")
    daemon.sdctl("network", "create", "p50", *options)
    name = daemon.sandbox("p50", "--network", "p50")
    assert daemon.inside("p50", "ping", "-c1", "-W20", "10.150.0.1").returncode == 0
    daemon.sdctl("sandbox", "rm", name)
    daemon.sdctl("network", "rm", "p50")
    assert daemon.on_host(*show).stdout.split()[2:] == before
    (own,) = json.loads(daemon.on_host("ip", "-d", "-j", "link", "show", "p50").stdout)
    assert (own["mtu"], own["linkinfo"]["info_data"]["mcast_snooping"]) == (1400, 0)
    assert "ifalias" not in own


def settled(daemon: Appliance, show: tuple[str, ...]) -> set[str]:
    """The words of it, and of link-local addresses their beginnings."""
    words = daemon.on_host(*show).stdout.split()
    return {each[:5] if each.startswith("fe80:") else each for each in words}


@pytest.fixture
def lan(daemon: Appliance) -> Iterator[str]:
    """A machine on the bridge p51 of the host, which is on 10.251.0.0/24 and fd00:251::/64."""
    other = f"{daemon.host}-lan"
    run("ip", "netns", "add", other)
    try:
        daemon.on_host("ip", "link", "add", "p51", "type", "bridge")
        daemon.on_host("ip", "link", "add", "p51up", "type", "veth", "peer", "eth0", "netns", other)
        daemon.on_host("ip", "link", "set", "p51up", "master", "p51", "up")
        daemon.on_host("ip", "link", "set", "p51", "up")
        run("ip", "-n", other, "link", "set", "eth0", "up")
        for last, where in (("1", ("-n", daemon.host)), ("9", ("-n", other))):
            link = "p51" if last == "1" else "eth0"
            run("ip", *where, "addr", "add", f"10.251.0.{last}/24", "dev", link)
            run("ip", *where, "addr", "add", f"fd00:251::{last}/64", "dev", link, "nodad")
        show = ("ip", "-br", "addr", "show", "p51")
        # The kernel sets these by itself, at its own pace.
        until(lambda: {"UP", "fe80:"} <= settled(daemon, show), 60, "the bridge is up")
        yield other
    finally:
        for link in ("p51", "p51up"):  # else it goes with the namespace, at the kernel's own pace
            daemon.on_host("ip", "link", "del", link, check=False)
        run("ip", "netns", "del", other)


ON_P51 = ("-o", "com.docker.network.bridge.name=p51")
SUBNETS_P51 = ("--subnet", "10.251.0.0/24", "--subnet", "fd00:251::/64")


@pytest.mark.parametrize("router", ["", "9"])
def test_peers_50_sandboxes_join_the_subnet_that_an_existing_bridge_is_on(
    daemon: Appliance, lan: str, router: str
) -> None:
    show = ("ip", "-br", "addr", "show", "p51")
    before = daemon.on_host(*show).stdout
    given = [f"--gateway={each}{router}" for each in ("10.251.0.", "fd00:251::")] if router else []
    daemon.sdctl("network", "create", "p51", *ON_P51, *SUBNETS_P51, *given)
    name = daemon.sandbox("p51", "--network", "p51,ip=10.251.0.20,ip6=fd00:251::20")
    for address in ("10.251.0.1", "10.251.0.9", "fd00:251::1", "fd00:251::9"):
        assert daemon.inside("p51", "ping", "-c1", "-W20", address).returncode == 0
    for address in ("10.251.0.20", "fd00:251::20"):
        run("ip", "netns", "exec", lan, "ping", "-c1", "-W20", address)
        daemon.on_host("ping", "-c1", "-W20", address)
    routes = daemon.inside("p51", "ip", "route", "show", "default").stdout
    assert f"via 10.251.0.{router or 1} " in routes
    taken = daemon.sdctl("network", "connect", "p51", name, "--ip", "10.251.0.1", check=False)
    assert taken.returncode == 1
    assert daemon.on_host(*show).stdout == before
    assert daemon.sdctl("verify").returncode == 0
    daemon.sdctl("sandbox", "rm", name)
    daemon.sdctl("network", "rm", "p51")
    assert daemon.on_host(*show).stdout == before
    run("ip", "netns", "exec", lan, "ping", "-c1", "-W20", "10.251.0.1")


def test_U38_peers_50_the_address_of_a_machine_on_an_existing_bridge_is_not_given(
    daemon: Appliance, lan: str
) -> None:
    assert lan
    near = ("--ip-range", "10.251.0.8/30")
    daemon.sdctl("network", "create", "p51", *ON_P51, *SUBNETS_P51, *near)
    for asked in ("ip=10.251.0.9", "ip6=fd00:251::9"):
        create = ("sandbox", "create", daemon.name("p51"), "--network", f"p51,{asked}")
        refused = daemon.sdctl(*create, check=False)
        assert "another machine, " in refused.stderr
        assert "[SDD-IPAM-DUPLICATE]" in refused.stderr
    names = [daemon.sandbox(f"p51{number}", "--network", "p51") for number in range(2)]
    boxes = daemon.json("sandbox", "inspect", *names)
    assert [box["Networks"]["p51"]["IPAddress"] for box in boxes] == ["10.251.0.8", "10.251.0.10"]
    daemon.sdctl("sandbox", "rm", *names)
    daemon.sdctl("network", "rm", "p51")


def test_peers_50_the_subnet_of_another_link_is_still_refused(daemon: Appliance, lan: str) -> None:
    assert lan
    for options in ((), ("-o", "com.docker.network.bridge.name=p51other")):
        done = daemon.sdctl("network", "create", "p51", *options, *SUBNETS_P51, check=False)
        assert "the host's own route 10.251.0.0/24 [SDD-NET-OVERLAP]" in done.stderr


def test_peers_55_a_name_that_another_link_has_is_refused_and_nothing_is_left(
    daemon: Appliance,
) -> None:
    daemon.on_host("ip", "link", "add", "p55", "type", "veth", "peer", "name", "p55far")
    before = links(daemon), daemon.json("network", "ls")
    option = ("-o", "com.docker.network.bridge.name=p55")
    done = daemon.sdctl("network", "create", "p55", *option, check=False)
    assert done.returncode == 1
    assert "the host has a link 'p55' that is not ours" in done.stderr
    assert "nothing was kept of it" in done.stderr
    assert (links(daemon), daemon.json("network", "ls")) == before


def test_peers_71_an_internal_network_has_no_translation_and_no_ports(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "p71", "--internal", "--subnet", "10.171.0.0/24")
    daemon.sandbox("p71", "--network", "p71")
    assert "10.171.0.0/24" not in daemon.on_host("nft", "list", "set", "inet", "sdd", "nat4").stdout
    asked = ("sandbox", "create", daemon.name("p71p"), "--network", "p71", "--publish", "8171:80")
    done = daemon.sdctl(*asked, check=False)
    assert "[SDD-PUBLISH-NETWORK]" in done.stderr
    assert daemon.on_host("ss", "-Hltn", "sport = :8171").stdout == ""


def test_peers_73_a_namespace_that_went_takes_its_rules_along(
    daemon: Appliance, guest: str
) -> None:
    daemon.sdctl("network", "create", "p73", "--subnet", "10.173.0.0/24")
    where = ("--netns", f"/run/netns/{guest}", "--network", "p73", "--publish", "8173:80")
    daemon.sdctl("sandbox", "attach", guest, *where)
    ports = ("nft", "list", "map", "inet", "sdd-ports", "to_any4")
    assert "8173" in daemon.on_host(*ports).stdout
    run("ip", "netns", "del", guest)
    until(lambda: guest not in daemon.sdctl("sandbox", "ls").stdout, 60, "it is noticed")
    # Nobody waits for the other backends, as a command would.
    until(lambda: "8173" not in daemon.on_host(*ports, check=False).stdout, 60, "no rule is left")
    until(lambda: not daemon.on_host("ss", "-Hltn", "sport = :8173").stdout, 60, "the port is free")
    daemon.sdctl("network", "rm", "p73")


def test_peers_76_a_removal_that_a_stop_cuts_short_is_completed(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "p76", "--subnet", "10.176.0.0/24")
    names = [daemon.sandbox(f"p76-{number}", "--network", "p76") for number in range(8)]
    before = links(daemon)
    command = [str(BIN / "sdctl"), "-H", daemon.url, "sandbox", "rm", *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as removal:
        assert removal.stdout is not None
        removal.stdout.readline()  # the first is gone
        daemon.kill(signal.SIGTERM)
    daemon.start()
    left = [name for name in names if name in daemon.sdctl("sandbox", "ls").stdout]
    assert len(left) < len(names)
    if left:
        daemon.sdctl("sandbox", "rm", *left)
    daemon.sdctl("network", "rm", "p76")
    assert daemon.sdctl("verify").returncode == 0
    gone = {each for each in before - links(daemon) if each.startswith("veth")}
    assert len(gone) == len(names)

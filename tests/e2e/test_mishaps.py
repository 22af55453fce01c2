"""Networks when something goes wrong around them: names taken, links down, restarts, flushes."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance, until
from tests.e2e.listening import Listening
from tests.support import run

REPAIR_S = 30  # the bound that the product promises


@pytest.fixture
def own() -> Iterator[Appliance]:
    """A daemon for one test, which may be killed."""
    with appliance("mishap") as one:
        yield one


@pytest.fixture
def listening() -> Iterator[Appliance]:
    """The same, but it comes by itself to nothing that hands change."""
    one = Listening("listens")
    try:
        one.start()
        yield one
    finally:
        one.close()


def device(one: Appliance, name: str) -> str:
    (found,) = one.json("network", "inspect", name)
    return str(found["Device"])


def links(one: Appliance) -> set[str]:
    found = re.findall(r"^\d+: ([^:@]+)", one.on_host("ip", "-o", "link").stdout, re.MULTILINE)
    return set(found)


def address(one: Appliance, name: str) -> str:
    (found,) = one.json("sandbox", "inspect", one.name(name))
    return str(next(iter(found["Networks"].values()))["IPAddress"])


def test_C64_after_a_restart_addresses_and_ports_are_still_taken(own: Appliance) -> None:
    own.sdctl("network", "create", "net")
    own.sandbox("alive", "--network", "net", "--publish", "8064:80")
    own.serve("alive")
    own.kill()
    own.start()
    other = own.sandbox("other", "--network", "net")
    assert address(own, "other") != address(own, "alive")
    refused = own.sdctl(
        "sandbox", "create", own.name("third"), "--network", "net", "-p", "8064:80", check=False
    )
    assert "[SDD-PUBLISH-INUSE]" in refused.stderr
    assert own.name("alive") in refused.stderr
    assert own.sdctl("sandbox", "ls", "-q").stdout.count("\n") == 2
    assert "from alive" in own.on_host("curl", "-s", "-m10", "http://127.0.0.1:8064/").stdout
    assert other


def test_C67_a_network_that_cannot_be_made_leaves_no_link(own: Appliance) -> None:
    own.on_host("ip", "link", "add", "taken0", "type", "veth", "peer", "name", "taken1")
    before = links(own)
    name = ("-o", "com.docker.network.bridge.name=taken0")
    refused = own.sdctl("network", "create", "bad", *name, check=False)
    assert "[SDD-NETNS-TAKEN]" in refused.stderr
    assert links(own) == before
    assert own.sdctl("network", "exists", "bad", check=False).returncode == 1


def test_C68_a_network_that_cannot_be_restored_keeps_nobody_and_can_be_made_anew(
    own: Appliance,
) -> None:
    own.sdctl("network", "create", "lost", "--subnet", "10.68.0.0/24")
    own.sdctl("network", "create", "fine")
    own.sandbox("kept", "--network", "fine")
    bridge = device(own, "lost")
    own.kill()
    own.on_host("ip", "link", "del", bridge)
    own.on_host("ip", "link", "add", bridge, "type", "veth", "peer", "name", "peer68")
    own.start()
    until(lambda: "SDD-NETNS-TAKEN" in own.sdctl("status").stdout, 60, "the status tells of it")
    own.inside("kept", "getent", "ahostsv4", "kept")
    own.sdctl("network", "rm", "lost")
    assert bridge in links(own)  # not ours, so it stays
    own.sdctl("network", "create", "lost", "--subnet", "10.68.0.0/24")
    own.sandbox("found", "--network", "lost")
    assert own.sdctl("verify").returncode == 0


def test_C71_a_gateway_network_is_left_although_the_other_link_was_set_down(
    own: Appliance,
) -> None:
    for name in ("alpha", "beta"):
        own.sdctl("network", "create", name)
    box = own.sandbox("box", "--network", "alpha", "--network", "beta")
    gateway = own.inside("box", "ip", "route", "show", "default").stdout
    own.inside("box", "ip", "link", "set", "eth1", "down")
    own.sdctl("network", "disconnect", "alpha", box)
    until(
        lambda: own.inside("box", "ip", "route", "show", "default").stdout not in ("", gateway),
        REPAIR_S,
        "the other network gives the default route",
        own.own_s,
    )
    own.sdctl("network", "connect", "alpha", box)
    assert own.inside("box", "ip", "route", "show", "default").stdout == gateway
    assert own.sdctl("verify").returncode == 0


def test_a_namespace_that_lost_its_name_while_a_program_holds_it_is_made_again_at_once(
    listening: Appliance,
) -> None:
    listening.sdctl("network", "create", "net")
    for name in ("web", "client"):
        listening.sandbox(name, "--network", "net")
    ping = ("ping", "-c1", "-W1", "web")
    for _ in range(3):
        listening.program("web", "sleep", "600")  # it keeps the old namespace
        listening.serve("web")
        run("ip", "netns", "del", listening.name("web"))
        until(
            lambda: listening.inside("client", *ping, check=False).returncode == 0,
            60,
            "it is there again",
        )
        until(lambda: listening.sdctl("verify", check=False).returncode == 0, 60, "all is well")


def test_a_link_of_ip_netns_that_is_removed_by_hand_is_back_at_once(listening: Appliance) -> None:
    listening.sdctl("network", "create", "net")
    link = Path("/var/run/netns") / listening.sandbox("box", "--network", "net")
    target = link.readlink()
    link.unlink()
    until(lambda: link.is_symlink() and link.readlink() == target, 60, "it is back")


def test_a_host_route_that_is_replaced_by_hand_is_back_at_once(listening: Appliance) -> None:
    """Behind the other one, which somebody wanted there."""
    subnet = "10.70.0.0/24"
    listening.sdctl("network", "create", "net", "--subnet", subnet)
    listening.sandbox("box", "--network", "net,ip=10.70.0.9")

    def routes() -> str:
        return listening.on_host("ip", "route", "show", subnet).stdout

    before = routes()
    listening.on_host("ip", "route", "replace", subnet, "dev", "lo")
    until(lambda: before in routes(), 60, "it is back")
    listening.on_host("ip", "route", "del", subnet, "dev", "lo")
    until(
        lambda: listening.on_host("ping", "-c1", "-W1", "10.70.0.9", check=False).returncode == 0,
        60,
        "the host reaches the network again",
    )


def test_C100_no_connection_to_a_sandbox_that_is_gone_is_remembered(own: Appliance) -> None:
    own.sdctl("network", "create", "net")
    own.sandbox("web", "--network", "net", "-p", "8100:80", "-p", "8101:81/udp")
    own.serve("web")
    target = address(own, "web")
    client = ["nsenter", f"--net=/run/netns/{own.host}", "nc", "127.0.0.1", "8100"]
    with subprocess.Popen(client, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as waiting:
        own.on_host("sh", "-c", "echo hello | nc -u -w1 127.0.0.1 8101")

        def remembered() -> str:
            return own.on_host("conntrack", "-L", check=False).stdout

        until(lambda: f"src={target} " in remembered(), 60, "the connection is there")
        own.sdctl("sandbox", "rm", own.name("web"))
        until(lambda: f"src={target} " not in remembered(), 60, remembered)
        waiting.kill()


def test_C104_rules_that_a_firewall_flushed_come_back_and_no_others(own: Appliance) -> None:
    for name in ("gone", "stays"):
        own.sdctl("network", "create", name)
    own.sandbox("web", "--network", "stays", "--publish", "8104:80")
    old = device(own, "gone")
    own.sdctl("network", "rm", "gone")

    def rules() -> list[str]:
        """In no order: tables come back as they are needed."""
        return sorted(own.on_host("nft", "-s", "list", "ruleset").stdout.split())

    before = rules()
    assert not any(old in word for word in before)
    own.on_host("nft", "flush", "ruleset")
    until(lambda: rules() == before, REPAIR_S, lambda: f"{before}\n{rules()}", own.own_s)


def until_full(one: Appliance, filler: Path) -> None:
    """No room on the disk of `filler`, and so no network more."""
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    for number in range(200):  # until the log's last pages are used up as well
        name = f"{'d' * 50}{number}"
        refused = one.sdctl("network", "create", name, check=False)
        if refused.returncode and "exists" not in refused.stderr:
            break
    assert "[SDD-STORE-FULL]" in refused.stderr


def test_on_a_full_disk_only_removals_work_and_dead_members_leave() -> None:
    one = Appliance("full")
    data = one.root / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(data)], check=True)
    try:
        one.start()
        for name in ("a", "b", "c"):
            one.sdctl("network", "create", name)
            one.sandbox(name, "--network", name)
        one.sandbox("plugged", "--network", "a")
        options = ("--endpoint-mode", "dnsrr", "--health", "tcp:80", "--health-interval", "0.2s")
        one.sdctl("service", "create", "web", "--network", "a", *options)
        one.sdctl("service", "join", "web", one.name("a"))
        one.sdctl("service", "create", "all", "--network", "a")
        for name in ("a", "plugged"):
            one.sdctl("service", "join", "all", one.name(name))
        server = one.serve("a")
        one.until_replicas("web", "1/1", 60)
        filler = data / "filler"
        until_full(one, filler)
        server.kill()
        server.wait()
        one.until_replicas("web", "0/1", 60)
        until_full(one, filler)
        one.sdctl("network", "disconnect", "a", one.name("plugged"))
        until_full(one, filler)
        one.sdctl("sandbox", "rm", one.name("a"))
        for name in ("all", "web"):
            one.sdctl("service", "rm", name)
        for name in ("plugged", "b", "c"):
            one.sdctl("sandbox", "rm", one.name(name))
        for name in ("a", "b", "c"):
            one.sdctl("network", "rm", name)
        filler.unlink()
        one.sdctl("network", "create", "again")
        one.kill()
        one.start()
        assert one.sdctl("network", "exists", "again").returncode == 0
    finally:
        one.close()

"""Records of one's own, from `sdctl` to what programs in real sandboxes see."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.appliance import Appliance, appliance, until
from tests.e2e.test_names import dig, short


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("records") as one:
        one.sdctl("network", "create", "lab", "--subnet", "10.62.0.0/24")
        one.sdctl("network", "create", "other", "--subnet", "10.63.0.0/24")
        one.sandbox("c", "--network", "lab")
        one.sandbox("web", "--network", "lab,ip=10.62.0.80,alias=web")
        one.sandbox("far", "--network", "other")
        yield one


def add(one: Appliance, *words: str) -> None:
    one.sdctl("dns", "record", "add", "lab", *words)


def test_a_record_is_seen_by_the_next_packet_on_its_network_only(daemon: Appliance) -> None:
    add(daemon, "db", "A", "192.0.2.9")
    assert short(daemon, "c", "db") == short(daemon, "c", "DB.lab.") == {"192.0.2.9"}
    assert short(daemon, "c", "+tcp", "db") == {"192.0.2.9"}
    assert not short(daemon, "far", "db.lab")
    daemon.sdctl("dns", "record", "rm", "lab", "db")
    assert "NXDOMAIN" in dig(daemon, "c", "db.lab")


def test_libc_follows_an_alias_and_a_wildcard(daemon: Appliance) -> None:
    add(daemon, "www", "CNAME", "web")
    add(daemon, "*.apps", "CNAME", "www")
    for name in ("www", "shop.apps", "a.b.apps.lab"):
        found = daemon.inside("c", "getent", "ahostsv4", name).stdout
        assert found.startswith("10.62.0.80"), name
    told = daemon.sdctl("dns", "trace", "x.apps", "--from", daemon.name("c")).stdout
    assert "network lab: has it, as *.apps. as an alias of www." in told


def test_an_alias_leads_to_its_own_network_and_to_nobody_once_the_target_is_gone(
    daemon: Appliance,
) -> None:
    daemon.sandbox("twin", "--network", "other,ip=10.63.0.80,alias=kiosk")
    daemon.sandbox("kiosk", "--network", "lab,ip=10.62.0.81,alias=kiosk")
    daemon.sandbox("both", "--network", "other,gw-priority=1", "--network", "lab")
    add(daemon, "buy", "CNAME", "kiosk")
    assert short(daemon, "both", "kiosk") == {"10.63.0.80"}
    assert dig(daemon, "both", "+short", "buy.lab").split() == ["kiosk.lab.", "10.62.0.81"]
    daemon.sdctl("sandbox", "rm", daemon.name("kiosk"))
    for sandbox in ("both", "c"):
        assert "NXDOMAIN" in dig(daemon, sandbox, "buy.lab")
    asked = ("dns", "query", "kiosk.lab", "--from", daemon.name("both"))
    assert "network lab" in daemon.sdctl(*asked, check=False).stderr


def test_text_and_services_are_what_was_added(daemon: Appliance) -> None:
    add(daemon, "web", "TXT", "owner=shop and more")
    add(daemon, "_http._tcp.web", "SRV", "0", "10", "8080", "web")
    assert '"owner=shop and more"' in dig(daemon, "c", "+short", "web", "TXT")
    found = dig(daemon, "c", "+short", "_http._tcp.web", "SRV")
    assert found.split() == ["0", "10", "8080", "web.lab."]
    assert "web.lab.\t\t5\tIN\tA\t10.62.0.80" in dig(daemon, "c", "_http._tcp.web", "SRV")
    assert "NXDOMAIN" in dig(daemon, "c", "_nope._tcp.web", "SRV")
    assert short(daemon, "c", "web") == {"10.62.0.80"}


def test_a_sandboxs_name_is_refused_with_409(daemon: Appliance) -> None:
    done = daemon.sdctl("dns", "record", "add", "lab", "web", "A", "192.0.2.9", check=False)
    assert done.returncode == 1
    assert "[SDD-RECORD-TAKEN]" in done.stderr


def test_records_outlive_the_daemon_and_go_with_their_network(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "brief")
    daemon.sdctl("dns", "record", "add", "brief", "x", "A", "192.0.2.1")
    daemon.kill()
    daemon.start()
    (row,) = daemon.json("dns", "record", "ls", "brief")
    assert (row["Name"], row["State"]) == ("x", "active")
    daemon.sdctl("network", "rm", "brief")
    assert "brief" not in daemon.sdctl("dns", "record", "ls").stdout


def test_libc_follows_an_alias_to_somebody_elses_name(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "asking", "--subnet", "10.64.0.0/24")
    daemon.sandbox("ns", "--network", "asking,ip=10.64.0.53")
    # A server of names that are nobody's here: dnsmasq without any upstream of its own.
    zone = ("-h", "-R", "-i", "eth0", "-z", "--address=/out.example/192.0.2.77")
    enter = ("ip", "netns", "exec", daemon.name("ns"))
    server = subprocess.Popen((*enter, "dnsmasq", "-k", *zone))
    daemon.sandbox("asker", "--network", "asking", "--dns", "10.64.0.53")
    daemon.sdctl("dns", "record", "add", "asking", "go", "CNAME", "www.out.example")
    until(lambda: "192.0.2.77" in dig(daemon, "asker", "+short", "go"), 60, "dnsmasq answers")
    assert daemon.inside("asker", "getent", "ahostsv4", "go").stdout.startswith("192.0.2.77")
    told = daemon.sdctl("dns", "query", "go", "--from", daemon.name("asker")).stderr
    assert "network asking, then " in told
    server.terminate()
    server.wait(60)


def test_C13_A8_16_a_services_ports_are_srv_records_of_its_backends(daemon: Appliance) -> None:
    made = ("service", "create", "shop", "--network", "lab", "--health", "none")
    daemon.sdctl(*made, "--publish", "published=5000,target=80,mode=host")
    for number in (1, 2):
        daemon.sandbox(f"shop{number}", "--network", f"lab,ip=10.62.0.{90 + number}")
        weight = ("--weight", str(number))
        daemon.sdctl("service", "join", "shop", daemon.name(f"shop{number}"), *weight)
    wanted = [f"0 {number} 80 {daemon.name(f'shop{number}')}.lab." for number in (1, 2)]
    for name in ("_http._tcp.shop", "_80._tcp.shop.lab"):
        assert sorted(dig(daemon, "c", "+short", name, "SRV").splitlines()) == wanted
    whole = dig(daemon, "c", "_http._tcp.shop", "SRV")
    assert {f"10.62.0.{90 + number}" for number in (1, 2)} <= set(whole.split())
    assert "NXDOMAIN" in dig(daemon, "c", "_smtp._tcp.shop", "SRV")
    daemon.sdctl("service", "update", "shop", "--publish-rm", "80")
    assert "NXDOMAIN" in dig(daemon, "c", "_http._tcp.shop", "SRV")

"""What hands change while no daemon runs is mended and told at the next start, and nothing else is."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance, until

PORT = "8571"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("taken") as one:
        one.sdctl("network", "create", "front", "--subnet", "10.79.0.0/24")
        for name in ("web1", "web2", "client"):
            one.sandbox(name, "--network", "front")
        publish = ("--publish", f"published={PORT},target=80,mode=host")
        one.sdctl("service", "create", "web", "--network", "front", "--health", "tcp:80", *publish)
        through = ("--publish", "published=8572,target=80,mode=ingress")
        one.sdctl("service", "create", "far", "--network", "front", *through)
        for name in ("web1", "web2"):
            one.serve(name)
            one.sdctl("service", "join", "web", one.name(name))
            one.sdctl("service", "join", "far", one.name(name))
        one.until_replicas("web", "2/2", 60)
        one.until_replicas("far", "2/2", 60)
        yield one


def told(one: Appliance) -> list[dict[str, str]]:
    """The repairs of this process."""
    found = one.sdctl("-o", "jsonl", "events", "--since", "1h", "-f", "event=repair").stdout
    return [json.loads(line)["Actor"]["Attributes"] for line in found.splitlines()]


def repaired(one: Appliance) -> dict[str, int]:
    (status,) = one.json("status")
    return {each["Name"]: each["Repaired"] for each in status["Backends"] if each["Repaired"]}


def settle(one: Appliance) -> None:
    """Each backend has done all, whatever was checked anew."""
    one.until_replicas("web", "2/2", 60)
    one.until_replicas("far", "2/2", 60)


@pytest.mark.parametrize("signum", [9, 15])
def test_a_plain_restart_tells_of_nothing(daemon: Appliance, signum: int) -> None:
    settle(daemon)
    daemon.kill(signum)
    daemon.start()
    assert (told(daemon), repaired(daemon)) == ([], {})


def vip(one: Appliance) -> str:
    (made,) = one.json("service", "inspect", "web")
    return str(made["VIPs"][0])


@pytest.mark.parametrize(
    ("where", "damage", "backend", "what"),
    [
        ("client", "nft add rule inet sdd-lb vip-VIP drop", "lb", "web"),
        ("client", "nft delete table inet sdd-lb", "lb", "web"),
        ("web1", "ip rule del pref 23900", "lb", "ways back"),
        ("host", "nft delete table inet sdd-ports", "ports", ""),
        ("host", "sysctl -qw net.ipv4.ip_forward=0", "netns", ""),
        ("client", "ip route del default", "netns", ""),
    ],
)
def test_what_hands_change_meanwhile_is_told(
    daemon: Appliance, where: str, damage: str, backend: str, what: str
) -> None:
    settle(daemon)
    words = damage.replace("VIP", vip(daemon))
    if damage.startswith("ip rule"):
        words = f"ip rule del pref {preference(daemon)}"
    daemon.kill()
    if where == "host":
        daemon.on_host(*words.split())
    else:
        daemon.inside(where, *words.split())
    daemon.start()
    assert set(repaired(daemon)) == {backend}
    found = told(daemon)
    assert {each["backend"] for each in found} == {backend}
    assert any(what in each.get("what", "") + each.get("service", "") for each in found), found
    assert "reconcile.repaired" in daemon.log()


def preference(one: Appliance) -> str:
    """That of a rule that leads back to the ingress sandbox."""
    listed = one.inside("web1", "ip", "rule").stdout
    found = re.findall(r"^(\d+):.*fwmark", listed, re.MULTILINE)
    assert found, listed
    return str(found[0])


def test_after_something_like_a_reboot_nothing_is_told() -> None:
    """All namespaces are gone and the host's is a new one; with what is in memory, or without."""
    for keeps in (True, False):
        with appliance("reboot") as one:
            one.sdctl("network", "create", "front", "--subnet", "10.79.0.0/24")
            for name in ("web1", "client"):
                one.sandbox(name, "--network", "front")
            one.sdctl("service", "create", "web", "--network", "front")
            one.sdctl("service", "join", "web", one.name("web1"))
            one.kill()
            for name in ("web1", "client"):
                one.on_host("umount", f"{one.root}/exec/netns/{one.name(name)}")
                Path(f"{one.root}/exec/netns/{one.name(name)}").unlink()
            one.on_host("nft", "flush", "ruleset")
            one.on_host("sysctl", "-qw", "net.ipv4.ip_forward=0")
            if not keeps:
                shutil.rmtree(one.root / "exec", ignore_errors=True)
            one.start()
            assert (told(one), repaired(one)) == ([], {})
            until(lambda: "10.79" in one.inside("client", "ip", "addr").stdout, 60, "it is back")

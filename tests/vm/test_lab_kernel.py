"""The lab kernel is worth its boot only if what the machine's kernel lacks really works there."""

import platform
import subprocess

import pytest

from sdd.cli.probes import kernel
from sdd.cli.probes.finding import Verdict
from tests import support
from tests.kernel.spaces import Spaces

LINKS = {
    "veth": ("type", "veth", "peer", "name", "x1"),
    "bridge": ("type", "bridge"),
    "vxlan": ("type", "vxlan", "id", "7", "dstport", "4789", "local", "127.0.0.1"),
    "macvlan": ("link", "under", "type", "macvlan", "mode", "bridge"),
    "ipvlan-l2": ("link", "under", "type", "ipvlan", "mode", "l2"),
    "ipvlan-l3": ("link", "under", "type", "ipvlan", "mode", "l3"),
    "8021q": ("link", "under", "type", "vlan", "id", "42"),
}


def test_it_is_debian_s_kernel() -> None:
    assert platform.release().endswith("-amd64")


@pytest.mark.parametrize("kind", LINKS)
def test_links_of_this_kind_can_be_made(kind: str, spaces: Spaces) -> None:
    space = spaces.make("links")
    space.run("ip", "link", "add", "under", "type", "dummy")
    space.run("ip", "link", "set", "under", "up")
    words = LINKS[kind]
    where = words.index("type")
    space.run("ip", "link", "add", *words[:where], "name", "x0", *words[where:])
    space.run("ip", "link", "set", "x0", "up")
    assert "x0" in space.run("ip", "-br", "link", "show", "up")


def test_the_doctor_finds_that_it_can_do_everything() -> None:
    found = {each.name: each.says for each in kernel.findings() if each.verdict is not Verdict.PASS}
    assert found == {}


def test_a_tagged_frame_crosses_a_wire(spaces: Spaces) -> None:
    left, right = spaces.make("left"), spaces.make("right")
    left.run(
        "ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", right.name
    )
    for number, space in enumerate((left, right), 1):
        space.run("ip", "link", "set", "wire", "up")
        space.run("ip", "link", "add", "link", "wire", "name", "tag", "type", "vlan", "id", "42")
        space.run("ip", "address", "add", f"10.42.0.{number}/24", "dev", "tag")
        space.run("ip", "link", "set", "tag", "up")
    left.run("ping", "-c1", "-w30", "10.42.0.2")


def test_nftables_translates_addresses(spaces: Spaces) -> None:
    space = spaces.make("nft")
    rules = """table ip t { chain c { type nat hook output priority -100;
        ip daddr 10.9.9.9 tcp dport 80 dnat to numgen random mod 2 map { 0 : 127.0.0.1, 1 : 127.0.0.2 }; }; }"""
    space.run("nft", rules)
    assert "numgen random" in space.run("nft", "list", "ruleset")


def test_ipvs_balances_a_connection(spaces: Spaces) -> None:
    space = spaces.make("ipvs")
    space.run("ip", "address", "add", "10.66.0.1/32", "dev", "lo")
    space.run("ipvsadm", "-A", "-t", "10.66.0.1:80", "-s", "rr")
    space.run("ipvsadm", "-a", "-t", "10.66.0.1:80", "-r", "127.0.0.1:8080", "-m")
    server = subprocess.Popen(
        [
            "nsenter",
            f"--net={space.path}",
            "socat",
            "-T60",
            "TCP-LISTEN:8080,fork",
            "EXEC:echo hello",
        ]
    )
    try:
        support.eventually(lambda: ":8080" in space.run("ss", "-Hltn"), 60, "the server listens")
        answer = space.run("socat", "-T60", "-u", "TCP:10.66.0.1:80", "STDOUT")
    finally:
        server.terminate()
        server.wait(10)
    assert answer == "hello\n"
    assert "10.66.0.1:80" in space.run("ipvsadm", "-Lcn")

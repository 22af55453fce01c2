"""Two VLANs on one trunk, names and virtual IPs on ipvlan, and SCTP: by the real sdd and sdctl.

Machines on the trunk know nothing of us. One daemon for all: it takes long to start on an emulated
processor. Servers and clients are socat, which starts at once there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sdd import client
from tests.e2e.appliance import Appliance, run, until

PATIENCE_S = 180
NEIGHBOUR = {100: "10.0.0.1", 200: "192.168.3.1"}  # its addresses, by VLAN
HOST, OUTSIDE = "198.51.100.1", "198.51.100.2"  # on the trunk itself


@dataclass(frozen=True)
class Trunk:
    """The host behind `daemon` has the link up0; at its other end is the namespace `other`."""

    daemon: Appliance
    other: str

    def outside(self, *command: str, check: bool = True) -> str:
        return run("ip", "netns", "exec", self.other, *command, check=check).stdout

    def links(self) -> str:
        return self.daemon.on_host("ip", "-br", "link").stdout

    def box(self, name: str, *options: str) -> str:
        """Makes a sandbox; its address."""
        found = self.asked(f"/v1/sandboxes/{self.daemon.sandbox(name, *options)}")
        (end,) = found["Networks"].values()
        return str(end["IPAddress"])

    def asked(self, path: str) -> Any:
        """Of the daemon, without a process: one takes a second to start here."""
        return client.Client(self.daemon.url, PATIENCE_S).get(path)

    def pings(self, name: str, target: str, within_s: int = 30) -> bool:
        ping = ("ping", "-c1", f"-w{within_s}", target)
        return self.daemon.inside(name, *ping, check=False).returncode == 0

    def says_who(self, name: str, listener: str) -> None:
        """A server in a sandbox that tells each client its own name and the client's address."""
        words = (f"{listener},fork,reuseaddr", f"SYSTEM:echo {name} $SOCAT_PEERADDR")
        self.daemon.program(name, "socat", *words)

    def do(self, *commands: str) -> None:
        for each in commands:
            self.daemon.sdctl(*each.split())


@pytest.fixture(scope="module")
def trunk() -> Iterator[Trunk]:
    daemon = Appliance("trunk")
    one = Trunk(daemon, f"{daemon.host}-lan")
    run("ip", "netns", "add", one.other)
    try:
        daemon.on_host(
            "ip", "link", "add", "up0", "type", "veth", "peer", "eth0", "netns", one.other
        )
        daemon.on_host("ip", "addr", "add", f"{HOST}/24", "dev", "up0")
        daemon.on_host("ip", "link", "set", "up0", "up")
        # Else Linux answers on each of its links for the addresses of all.
        one.outside("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
        one.outside("ip", "addr", "add", f"{OUTSIDE}/24", "dev", "eth0")
        one.outside("ip", "link", "set", "eth0", "up")
        for tag, address in NEIGHBOUR.items():
            link = ("link", "eth0", "name", f"eth0.{tag}", "type", "vlan", "id", str(tag))
            one.outside("ip", "link", "add", *link)
            one.outside("ip", "link", "set", f"eth0.{tag}", "up")
            one.outside("ip", "addr", "add", f"{address}/24", "dev", f"eth0.{tag}")
        daemon.start(deadline_s=PATIENCE_S)
        yield one
    finally:
        daemon.close()
        run("ip", "netns", "del", one.other)


def test_two_vlans_on_one_trunk(trunk: Trunk) -> None:
    daemon = trunk.daemon
    red = "network create red -d macvlan -o parent=up0.100 --subnet 10.0.0.0/24"
    blue = "network create blue -d ipvlan -o parent=up0.200 --subnet 192.168.3.0/24"
    trunk.do(red, blue)
    for tag in NEIGHBOUR:
        link = daemon.on_host("ip", "-d", "link", "show", f"up0.{tag}").stdout
        assert f"vlan protocol 802.1Q id {tag}" in link
    r1, b1 = trunk.box("r1", "--network", "red"), trunk.box("b1", "--network", "blue")
    assert (r1, b1) == ("10.0.0.2", "192.168.3.2"), "the neighbour has the first address"

    def traffic() -> None:
        for name, own, there in (("r1", r1, NEIGHBOUR[100]), ("b1", b1, NEIGHBOUR[200])):
            assert trunk.pings(name, there)
            trunk.outside("ping", "-c1", "-w30", own)

    traffic()
    assert not trunk.pings("r1", b1, within_s=3)
    assert not trunk.pings("b1", r1, within_s=3)
    twin = ("sandbox", "create", daemon.name("twin"), "--network", f"blue,ip={NEIGHBOUR[200]}")
    refused = daemon.sdctl(*twin, check=False)
    machine = re.search(r"link/ether (\S+)", trunk.outside("ip", "link", "show", "eth0.200"))
    assert machine
    assert "[SDD-IPAM-DUPLICATE]" in refused.stderr
    assert machine[1] in refused.stderr
    daemon.kill()
    traffic()
    daemon.start(deadline_s=PATIENCE_S)
    traffic()
    assert daemon.sdctl("verify").stdout == ""
    trunk.do(f"sandbox rm {daemon.name('r1')} {daemon.name('b1')}", "network rm red blue")
    assert "up0.100" not in trunk.links()
    assert "up0.200" not in trunk.links()
    assert "up0@" in trunk.links()


def test_names_and_virtual_ips_on_ipvlan(trunk: Trunk) -> None:
    daemon = trunk.daemon
    lan = "network create lan -d ipvlan -o parent=up0.300 --subnet 10.30.0.0/24"
    trunk.do(lan, "service create web --network lan --scheduler rr --health none")
    own = trunk.box("client", "--network", "lan")
    members = {
        name: trunk.box(name, "--network", "lan", "--service", "web") for name in ("m1", "m2")
    }
    for name in members:
        trunk.says_who(name, "TCP4-LISTEN:80")
    hosts = daemon.inside("client", "getent", "ahostsv4", "m1").stdout
    assert hosts.split()[0] == members["m1"]
    listens = ("ss", "-Hltn", "sport", "=", ":80")
    for name in members:
        until(lambda name=name: daemon.inside(name, *listens).stdout, PATIENCE_S, f"{name} listens")
    ask = "for i in 1 2 3 4; do socat -u TCP4:web:80 STDOUT || exit 1; done"
    said = daemon.inside("client", "sh", "-c", ask).stdout.splitlines()
    expected = {f"m1 {own}", f"m2 {own}"}
    assert set(said) == expected, "both answer, and see the client's own address"
    assert said[0] != said[1], "in turn"
    shown = daemon.sdctl("lb", "ls", "--from", daemon.name("client")).stdout
    assert "rr" in shown.split()
    at_home = daemon.inside("m1", "sh", "-c", ask).stdout.splitlines()
    assert {each.split()[0] for each in at_home} == {"m1", "m2"}, "a member calls its own service"
    assert trunk.asked("/v1/status")["Balancer"] == "ipvs"


def test_C88_sctp_packets_come_through_a_published_port(trunk: Trunk) -> None:
    daemon = trunk.daemon
    trunk.do("network create front --subnet 10.40.0.0/24")
    trunk.box("assoc", "--network", "front", "--publish", "7000:7/sctp")
    trunk.says_who("assoc", "SCTP4-LISTEN:7")
    table = ("cat", "/proc/net/sctp/eps")  # a heading, and a line for each that listens
    until(
        lambda: len(daemon.inside("assoc", *table).stdout.splitlines()) > 1,
        PATIENCE_S,
        "it listens",
    )

    def asked(at: str) -> tuple[str, ...]:
        return ("socat", "-u", f"SCTP4-CONNECT:{at}:7000", "STDOUT")

    assert trunk.outside(*asked(HOST)) == f"assoc {OUTSIDE}\n", "it sees the client's address"
    for at in ("127.0.0.1", HOST):
        assert daemon.on_host(*asked(at)).stdout.startswith("assoc ")
    assert daemon.inside("assoc", *asked(HOST)).stdout.startswith("assoc "), "hairpin"

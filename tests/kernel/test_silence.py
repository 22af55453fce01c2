"""A member that is silent is alive if somebody has the port there, however rarely ICMP says so."""

import contextlib
import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lb import dial
from lb.checks import Check
from lb.dial import Result
from lb.heard import Heard
from sdd.linux import namespaces
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck
from tests.kernel.spaces import Space, Spaces
from tests.support import eventually_async

pytestmark = pytest.mark.kernel

PORT = 9300
HOW = HealthCheck(kind=CheckKind.UDP, port=PORT, timeout_s=0.2)
SILENT = "no answer within 0.2 s"


@pytest.fixture
def member(spaces: Spaces) -> Space:
    """It says nothing about ports that nobody has, as a kernel that has just said so."""
    made = spaces.make("member")
    made.run("ip", "addr", "add", "10.99.0.1/32", "dev", "lo")
    made.run("ip", "addr", "add", "fd99::1/128", "dev", "lo", "nodad")
    made.run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }")
    for each in ("icmp type destination-unreachable", "icmpv6 type destination-unreachable"):
        made.run("nft", f"add rule inet t in {each} drop")
    return made


def checks(member: Space, address: str) -> Check:
    return Check(
        service=ids.ServiceId("dns"),
        endpoint=ids.EndpointId("one"),
        address=ip_address(address),
        how=HOW,
        joined=0.0,
        inside=member.path,
        home=member.path,
    )


def bound(at: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((at, PORT))
    return made


@pytest.mark.parametrize(
    ("address", "at", "is_alive"),
    [
        ("10.99.0.1", "10.99.0.1", True),
        ("10.99.0.1", "0.0.0.0", True),
        ("10.99.0.1", "::", True),
        ("10.99.0.1", "127.0.0.1", False),
        ("fd99::1", "fd99::1", True),
        ("fd99::1", "::", True),
        ("fd99::1", "0.0.0.0", False),
    ],
)
async def test_nobody_at_the_port_is_dead_and_somebody_alive(
    member: Space, address: str, at: str, is_alive: bool
) -> None:
    words = f"{SILENT}, and no socket has UDP port {PORT}"
    dead = Result(passed=False, reason=words, heard=Heard.NOBODY)
    with contextlib.closing(namespaces.Namespaces()) as doors:
        check, dialled = checks(member, address), dial.through(doors)
        assert await dialled(check) == dead
        with await doors.run(member.path, lambda: bound(at)):
            alive = Result(passed=True, reason=SILENT, heard=Heard.SILENCE)
            assert await dialled(check) == (alive if is_alive else dead)
        assert await dialled(check) == dead


@pytest.mark.parametrize("address", ["10.98.0.2", "fd98::2"])
async def test_whoever_is_off_the_wire_is_dead_and_the_next_check_finds_it_alive(
    spaces: Spaces, address: str
) -> None:
    """However long the kernel would believe that it is there."""
    host, member = spaces.make("host"), spaces.make("member")
    host.run("ip", "link", "add", "w", "type", "veth", "peer", "name", "w", "netns", member.name)
    for one, last in ((host, 1), (member, 2)):
        one.run("sysctl", "-qw", "net.ipv6.conf.w.accept_dad=0")  # as on links of ours
        one.run("ip", "addr", "add", f"10.98.0.{last}/24", "dev", "w")
        one.run("ip", "addr", "add", f"fd98::{last}/64", "dev", "w", "nodad")
        one.run("ip", "link", "set", "w", "up")
    check = replace(checks(member, address), inside=host.path)
    host.run("ping", "-c1", "-w30", address)
    alive = Result(passed=True, reason=SILENT, heard=Heard.SILENCE)
    lost = Result(passed=False, reason=f"{SILENT}, and nobody answers for its address")
    with contextlib.closing(namespaces.Namespaces()) as doors:
        dialled = dial.through(doors)
        with await doors.run(member.path, lambda: bound(address)):
            assert await dialled(check) == alive
            member.run("nft", DEAF)
            for _ in range(2):  # the kernel believed in it, then it asks
                assert await dialled(check) == lost
            host.run("ip", "neigh", "flush", "dev", "w")
            assert await dialled(check) == lost
            member.run("nft", "flush ruleset")
            await eventually_async(lambda: is_reached(host, address), 60, "it is there again")
            assert await dialled(check) == alive


def is_reached(host: Space, address: str) -> bool:
    host.run("ping", "-c1", "-W1", address, check=False)
    return "REACHABLE" in host.run("ip", "neigh", "show", "to", address)


DEAF = """table arp deaf { chain in { type filter hook input priority 0; policy drop; }; }
table ip6 deaf { chain in { type filter hook input priority 0;
  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } drop; }; }"""

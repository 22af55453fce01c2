"""A member that is silent is alive if somebody has the port there, however rarely ICMP says so."""

import contextlib
import socket
from ipaddress import ip_address

import pytest

from lb import dial
from lb.checks import Check
from lb.dial import Result
from sdd.linux import namespaces
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck
from tests.kernel.spaces import Space, Spaces

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
    dead = Result(passed=False, reason=f"{SILENT}, and no socket has UDP port {PORT}")
    with contextlib.closing(namespaces.Namespaces()) as doors:
        check, dialled = checks(member, address), dial.through(doors)
        assert await dialled(check) == dead
        with await doors.run(member.path, lambda: bound(at)):
            alive = Result(passed=True, reason=SILENT)
            assert await dialled(check) == (alive if is_alive else dead)
        assert await dialled(check) == dead

"""What the kernel says when it is the host that cannot ask: nothing of the member."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lb import dial
from lb.checks import Check
from lb.dial import Result
from lb.heard import Heard
from lb.unmade import Unmade
from sdd.linux import namespaces
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck
from tests.kernel.spaces import Space, Spaces

pytestmark = pytest.mark.kernel

REFUSED = Result(passed=False, reason="connection refused", heard=Heard.NOBODY)
FIRST, LAST = 50000, 50001


@pytest.fixture
def host(spaces: Spaces) -> Space:
    return spaces.make("host")


@pytest.fixture
def doors() -> Iterator[namespaces.Namespaces]:
    with contextlib.closing(namespaces.Namespaces(workers=1)) as made:
        yield made


def check(host: Space, kind: CheckKind, address: str = "127.0.0.1") -> Check:
    return Check(
        service=ids.ServiceId("web"),
        endpoint=ids.EndpointId("one"),
        address=ip_address(address),
        how=HealthCheck(kind=kind, port=9300, timeout_s=30.0, send="x", path="/", host="x.test"),
        joined=0.0,
        inside=host.path,
        home="/ns/one",
    )


def every_port() -> list[socket.socket]:
    """All that a connection may begin from."""
    taken = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for number in (FIRST, LAST):
            taken.append(socket.socket(socket.AF_INET, kind))
            taken[-1].bind(("", number))
    return taken


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (CheckKind.TCP, "cannot assign requested address"),
        (CheckKind.HTTP, "cannot assign requested address"),
        (CheckKind.UDP, "resource temporarily unavailable"),
        (CheckKind.DNS, "resource temporarily unavailable"),
    ],
)
async def test_no_port_is_left_to_ask_from(
    host: Space, doors: namespaces.Namespaces, kind: CheckKind, words: str
) -> None:
    dialled, asked = dial.through(doors), check(host, kind)
    host.run("sysctl", "-qw", f"net.ipv4.ip_local_port_range={FIRST} {LAST}")
    with contextlib.ExitStack() as stack:
        for each in await doors.run(host.path, every_port):
            stack.enter_context(each)
        assert await dialled(asked) == Unmade(words)
    assert await dialled(asked) == REFUSED


@pytest.mark.parametrize("kind", [CheckKind.UDP, CheckKind.DNS])
async def test_the_firewall_here_forbids_to_send(
    host: Space, doors: namespaces.Namespaces, kind: CheckKind
) -> None:
    dialled, asked = dial.through(doors), check(host, kind)
    host.run("nft", "add table inet t; add chain inet t o { type filter hook output priority 0; }")
    host.run("nft", "add rule inet t o udp dport 9300 drop")
    assert await dialled(asked) == Unmade("operation not permitted")


@pytest.mark.parametrize("kind", [CheckKind.TCP, CheckKind.HTTP, CheckKind.UDP])
@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
async def test_no_route_from_here_is_no_fault_of_the_member_but_from_itself_it_is(
    host: Space, doors: namespaces.Namespaces, kind: CheckKind, address: str
) -> None:
    dialled, asked = dial.through(doors), check(host, kind, address)
    assert await dialled(asked) == Unmade("network is unreachable")
    at_home = replace(asked, home=asked.inside)
    assert await dialled(at_home) == Result(passed=False, reason="network is unreachable")

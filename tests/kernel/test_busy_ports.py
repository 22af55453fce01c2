"""Which connections through ports of the host are not over yet, as its conntrack has them.

They are put there by `conntrack`: this kernel may have no sockets of SCTP.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

import pytest

from lb.kernel.ports.linux import PortsKernel
from lb.ports.table import Bind
from lb.ports.way import Way
from sdd.linux import namespaces
from sdd.model.port import Protocol
from tests.kernel.spaces import Space, Spaces

pytestmark = pytest.mark.kernel

# IP version → client, host, member
PLACES = {
    4: ("198.51.100.9", "192.0.2.1", "10.1.0.2"),
    6: ("2001:db8::9", "2001:db8::1", "fd01::2"),
}
PORT = 8080
OPEN = {
    Protocol.TCP: ("ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT"),
    Protocol.SCTP: ("ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD"),
}
OVER = {
    Protocol.TCP: ("SYN_SENT", "LAST_ACK", "TIME_WAIT", "CLOSE"),
    Protocol.SCTP: ("COOKIE_WAIT", "SHUTDOWN_ACK_SENT", "CLOSED"),
}


@pytest.fixture
def host(spaces: Spaces) -> Space:
    return spaces.make("busy")


@pytest.fixture
def kernel(host: Space) -> Iterator[PortsKernel]:
    doors = namespaces.Namespaces(host.path)
    made = PortsKernel(doors)
    yield made
    made.close()
    doors.close()


def way(version: int, protocol: Protocol) -> Way:
    bind = Bind(version=version, protocol=protocol, number=PORT)
    return Way(bind, ip_address(PLACES[version][2]), PORT)


def known(host: Space, version: int, protocol: Protocol, state: str) -> None:
    """One connection through the port to the member, which is in that state."""
    client, here, member = PLACES[version]
    ends = ("-s", client, "-d", here, "-g", member, "--sport", "40000", "--dport", str(PORT))
    tags = ("--orig-vtag", "1", "--reply-vtag", "2") if protocol is Protocol.SCTP else ()
    kind = ("-p", protocol.value, "--state", state, "--timeout", "60")
    host.run("conntrack", "-I", *kind, *ends, *tags)


def cases(states: Mapping[Protocol, tuple[str, ...]]) -> list[tuple[int, Protocol, str]]:
    return [
        (version, protocol, each)
        for version in PLACES
        for protocol, those in states.items()
        for each in those
    ]


@pytest.mark.parametrize(("version", "protocol", "state"), cases(OPEN))
async def test_what_one_end_may_still_speak_through_is_busy(
    host: Space, kernel: PortsKernel, version: int, protocol: Protocol, state: str
) -> None:
    known(host, version, protocol, state)
    wanted = way(version, protocol)
    others = {way(each, kind) for each in PLACES for kind in OPEN} - {wanted}
    assert set(await kernel.busy({wanted, *others})) == {wanted}


@pytest.mark.parametrize(("version", "protocol", "state"), cases(OVER))
async def test_what_both_ends_closed_is_over(
    host: Space, kernel: PortsKernel, version: int, protocol: Protocol, state: str
) -> None:
    known(host, version, protocol, state)
    assert "40000" in host.run("conntrack", "-L", "-f", "ipv4" if version == 4 else "ipv6")
    assert not await kernel.busy({way(version, protocol)})

"""Foreign names: asked from inside the sandbox with its own sockets, over both families."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests import resolver_states as states
from tests.kernel.resolver.town import Town

pytestmark = pytest.mark.kernel

SERVER = """
import socket, sys
import dns.message, dns.rrset
host = sys.argv[1]
link = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
link.bind((host, 53))
print("up", flush=True)
while True:
    data, peer = link.recvfrom(4096)
    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, 'IN', 'A', sys.argv[2]))
    link.sendto(reply.to_wire(), peer)
"""


@contextmanager
def upstream(town: Town, inside: str, address: str, says: str) -> Iterator[None]:
    """A server on `address` of the sandbox `inside`."""
    family = ["-6"] if ":" in address else []
    nodad = ["nodad"] if family else []
    town.inside(inside, "ip", *family, "address", "add", address, "dev", "lo", *nodad)
    process = subprocess.Popen(
        ["nsenter", f"--net={town.path(inside)}", sys.executable, "-c", SERVER, address, says],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("servers", "speaks"),
    [
        (("10.44.9.9",), "10.44.9.9"),
        (("fd44::9",), "fd44::9"),
        (("fd44::8", "10.44.9.9"), "10.44.9.9"),
        (("10.44.9.8", "fd44::9"), "fd44::9"),
    ],
)
async def test_A8_23_the_sandboxs_own_servers_are_asked_from_inside(
    town: Town, servers: tuple[str, ...], speaks: str
) -> None:
    path = await town.make("ann")
    sealed = states.net("sealed", internal=True)
    box = states.box("ann", path, servers=servers)
    await town.settle(town.daemon(), sealed, box, states.plug("ann", "sealed", "10.44.1.2/24"))
    with upstream(town, "ann", speaks, "192.0.2.77"):
        assert town.dig("ann", "ok.example.org") == "192.0.2.77"


async def test_C22_A8_22_upstreams_come_with_a_network_and_go_with_it(town: Town) -> None:
    path = await town.make("ann")
    plain = states.net("red")
    asking = states.net("blue", 2, dns=("10.44.9.9",))
    box = states.box("ann", path)
    red = states.plug("ann", "red", "10.44.1.2/24")
    blue = states.plug("ann", "blue", "10.44.2.2/24")
    daemon = town.daemon()
    with upstream(town, "ann", "10.44.9.9", "192.0.2.78"):
        await town.settle(daemon, plain, asking, box, red)
        assert town.dig("ann", "one.example.org") == ""
        await town.settle(daemon, plain, asking, box, red, blue)
        assert town.dig("ann", "two.example.org") == "192.0.2.78"
        await town.settle(daemon, plain, asking, box, red)
        assert town.dig("ann", "three.example.org") == ""
    assert town.dig("ann", "ann") == "10.44.1.2"


async def test_A8_23_a_first_ipv6_server_is_asked_also_by_the_next_daemon(town: Town) -> None:
    """Killed before it could change the sockets: only the worker knows what they are."""
    path = await town.make("ann")
    sealed, plug = states.net("sealed", internal=True), states.plug("ann", "sealed", "10.44.1.2/24")
    await town.settle(town.daemon(), sealed, states.box("ann", path, servers=("10.44.9.9",)), plug)
    town.restart()
    await town.settle(town.daemon(), sealed, states.box("ann", path, servers=("fd44::9",)), plug)
    with upstream(town, "ann", "fd44::9", "192.0.2.79"):
        assert town.dig("ann", "ok.example.org") == "192.0.2.79"

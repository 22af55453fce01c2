"""When a namespace is ready for a name server's sockets."""

import contextlib
import functools
import sys
from pathlib import Path

import pytest

from resolver.space import opener
from sdd.linux import namespaces
from tests import support
from tests.kernel.resolver.town import Town

pytestmark = pytest.mark.kernel


async def _open(town: Town, path: str) -> opener.Opened:
    inode = await town.doors.run(path, functools.partial(namespaces.inode, namespaces.OWN))
    return await town.doors.run(path, functools.partial(opener.open_sockets, inode))


def _born_with_lo_down(path: str) -> None:
    """As the kernel makes it, before anybody gave `lo` its first address."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).touch()
    support.run("unshare", f"--net={path}", "true")


async def test_without_loopback_it_is_too_early(town: Town) -> None:
    path = town.path("early")
    _born_with_lo_down(path)
    with pytest.raises(opener.NotYet):
        await _open(town, path)


async def test_between_the_flag_and_the_route_of_loopback_it_is_too_early(town: Town) -> None:
    path = await town.make("between")
    town.inside("between", "ip", "address", "del", "127.0.0.1/8", "dev", "lo")
    with pytest.raises(opener.NotYet):
        await _open(town, path)
    town.inside("between", "ip", "address", "add", "127.0.0.1/8", "dev", "lo")
    opened = await _open(town, path)
    assert {link.getsockname()[0] for link in opened.links} == {"127.0.0.11"}
    opened.close()


async def test_a_default_route_does_not_stand_for_loopback(town: Town) -> None:
    """The container's own interface may be up before `lo`: its route must not count."""
    path = town.path("elsewhere")
    _born_with_lo_down(path)
    for step in (
        ("link", "add", "eth0", "type", "veth", "peer", "name", "eth1"),
        ("address", "add", "198.51.100.2/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("link", "set", "eth1", "up"),
        ("route", "add", "default", "via", "198.51.100.1"),
    ):
        town.inside("elsewhere", "ip", *step)
    with pytest.raises(opener.NotYet):
        await _open(town, path)


async def test_a_burst_of_two_thousand_questions_finds_room(town: Town) -> None:
    """While the worker is busy, or there is none: what is dropped waits for 5 s."""
    await town.make("busy")
    opened = await _open(town, town.path("busy"))
    port = opened.listening.udp_port
    send = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        f"[s.sendto(b'?' * 60, ('127.0.0.11', {port})) for _ in range(2000)]"
    )
    town.inside("busy", sys.executable, "-c", send)
    came = 0
    with contextlib.suppress(BlockingIOError):
        while opened.links[0].recv(512):
            came += 1
    assert came == 2000
    opened.close()

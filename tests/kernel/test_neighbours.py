"""An address that nobody on the wire answers for is told, from any namespace, and nothing else is."""

import asyncio
import contextlib
from ipaddress import ip_address

import pytest

from lb.kernel import neighbours
from sdd.linux import namespaces
from tests.kernel.spaces import Spaces
from tests.support import eventually_async

pytestmark = pytest.mark.kernel


async def test_who_does_not_answer_is_told_and_who_does_is_not(spaces: Spaces) -> None:
    left, right = spaces.make("left"), spaces.make("right")
    peer = ("peer", "name", "w", "netns", right.name)
    left.run("ip", "link", "add", "w", "type", "veth", *peer)
    for one, last in ((left, 1), (right, 2)):
        one.run("ip", "link", "set", "w", "up")
        one.run("ip", "addr", "add", f"10.99.0.{last}/24", "dev", "w")
        one.run("ip", "addr", "add", f"fd99::{last}/64", "dev", "w", "nodad")
    left.run("ip", "link", "show", "w")  # a number for the other namespace
    told: list[object] = []
    with contextlib.closing(namespaces.Namespaces()) as doors:
        host = f"/run/netns/{left.name}"
        ear = asyncio.ensure_future(neighbours.follow(doors, told.append, host))  # noqa: TID251 - ended below
        await asyncio.sleep(0)
        try:
            left.run("ping", "-c1", "-w30", "10.99.0.2")
            for one in (left, right):  # who answers had its time
                one.run("sysctl", "-qw", "net.ipv4.neigh.w.retrans_time_ms=50")
                one.run("sysctl", "-qw", "net.ipv6.neigh.w.retrans_time_ms=50")
            left.run("ping", "-c1", "-W1", "10.99.0.77", check=False)
            left.run("ping", "-c1", "-W1", "fd99::77", check=False)
            right.run("ping", "-c1", "-W1", "10.99.0.78", check=False)
            wanted = {ip_address(each) for each in ("10.99.0.77", "fd99::77", "10.99.0.78")}
            await eventually_async(lambda: set(told) == wanted, 60, f"all are told: {told}")
        finally:
            ear.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ear


def test_bytes_that_are_no_neighbour_tell_of_nobody() -> None:
    for each in (b"", b"\0" * 27, b"\0" * 64, bytes(range(200)), b"\xff" * 100):
        assert list(neighbours.failed(each)) == []

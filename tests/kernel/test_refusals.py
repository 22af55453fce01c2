"""Whoever refuses on a bridge or behind a router is told at once, and nothing else is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from lb.kernel import refusals
from sdd.linux import namespaces
from tests.kernel.spaces import Spaces
from tests.support import eventually_async

pytestmark = pytest.mark.kernel


@contextlib.asynccontextmanager
async def followed(host: str) -> AsyncIterator[tuple[list[object], list[str]]]:
    told: list[object] = []
    lost: list[str] = []
    with contextlib.closing(namespaces.Namespaces()) as doors:
        following = refusals.follow(doors, told.append, lost.append, f"/run/netns/{host}")
        ear = asyncio.ensure_future(following)  # noqa: TID251 - ended below
        try:
            yield told, lost
        finally:
            ear.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ear


async def test_refusals_on_a_bridge_are_told_and_go_with_who_listens(spaces: Spaces) -> None:
    host, one, two = (spaces.make(each) for each in ("host", "one", "two"))
    host.run("ip", "link", "add", "name", "bridge0", "type", "bridge")
    host.run("ip", "link", "set", "bridge0", "up")
    for at, box in ((1, one), (2, two)):
        peer = ("peer", "name", "eth0", "netns", box.name)
        host.run("ip", "link", "add", f"v{at}", "type", "veth", *peer)
        host.run("ip", "link", "set", f"v{at}", "master", "bridge0", "up")
        box.run("ip", "link", "set", "eth0", "up")
        box.run("ip", "link", "set", "lo", "up")
        box.run("ip", "addr", "add", f"10.99.0.{at}/24", "dev", "eth0")
        box.run("ip", "addr", "add", f"fd99::{at}/64", "dev", "eth0", "nodad")
    async with followed(host.name) as (told, lost):
        there = "table bridge sdd-signs"
        await eventually_async(lambda: there in host.run("nft", "list", "tables"), 10, "it listens")
        assert lost == []
        for address in ("10.99.0.2", "fd99::2"):
            told.clear()
            one.run("bash", "-c", f"echo x > /dev/tcp/{address}/9", check=False)
            await eventually_async(lambda: {*told} == {ip_address(address)}, 10, "a handshake")  # noqa: B023 - awaited
            told.clear()
            one.run("bash", "-c", f"echo x > /dev/udp/{address}/9")
            await eventually_async(lambda: {*told} == {ip_address(address)}, 10, "a datagram")  # noqa: B023 - awaited
    await eventually_async(lambda: "signs" not in host.run("nft", "list", "tables"), 10, "gone")


async def test_only_one_process_of_a_host_listens(spaces: Spaces) -> None:
    host = spaces.make("host")
    async with followed(host.name) as (told, lost):
        await eventually_async(lambda: "sdd-signs" in host.run("nft", "list", "tables"), 10, "on")
        second = contextlib.closing(namespaces.Namespaces())
        with second as doors:  # whoever comes second is told why it hears nothing
            again = refusals.follow(doors, told.append, lost.append, f"/run/netns/{host.name}")
            ear = asyncio.ensure_future(again)  # noqa: TID251 - ended below
            await eventually_async(lambda: lost, 10, "the group is taken")
            ear.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ear
        assert "sdd-signs" in host.run("nft", "list", "tables")
    assert told == []


def test_bytes_that_are_no_packet_tell_of_nobody() -> None:
    for each in (b"", b"\0" * 19, b"\0" * 64, bytes(range(200)), b"\xff" * 100):
        assert list(refusals.refusing(each)) == []

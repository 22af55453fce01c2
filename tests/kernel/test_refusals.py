"""Whoever refuses on a bridge or behind a router is told at once, and nothing else is."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from lb.kernel import refusals
from sdd.linux import namespaces
from sdd.model.look import EVERYWHERE
from sdd.state import ClusterState
from tests.kernel.inner_ears import is_refused, listening
from tests.kernel.spaces import Space, Spaces
from tests.support import eventually_async, run

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
        await eventually_async(lambda: there in host.run("nft", "list", "tables"), 60, "it listens")
        assert lost == []
        for address in ("10.99.0.2", "fd99::2"):
            told.clear()
            one.run("bash", "-c", f"echo x > /dev/tcp/{address}/9", check=False)
            await eventually_async(lambda: {*told} == {ip_address(address)}, 60, "a handshake")  # noqa: B023 - awaited
            told.clear()
            one.run("bash", "-c", f"echo x > /dev/udp/{address}/9")
            await eventually_async(lambda: {*told} == {ip_address(address)}, 60, "a datagram")  # noqa: B023 - awaited
    await eventually_async(lambda: "signs" not in host.run("nft", "list", "tables"), 60, "gone")


async def test_only_one_process_of_a_host_listens(spaces: Spaces) -> None:
    host = spaces.make("host")
    async with followed(host.name) as (told, lost):
        await eventually_async(lambda: "sdd-signs" in host.run("nft", "list", "tables"), 60, "on")
        second = contextlib.closing(namespaces.Namespaces())
        with second as doors:  # whoever comes second is told why it hears nothing
            again = refusals.follow(doors, told.append, lost.append, f"/run/netns/{host.name}")
            ear = asyncio.ensure_future(again)  # noqa: TID251 - ended below
            await eventually_async(lambda: lost, 60, "the group is taken")
            ear.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ear
        assert "sdd-signs" in host.run("nft", "list", "tables")
    assert told == []


async def test_refusals_inside_are_told_for_as_long_as_they_are_wanted(spaces: Spaces) -> None:
    client, member = spaces.make("client"), spaces.make("member")
    wired(client, member)
    wanted = [member.path]
    async with listening(wanted) as (slot, told):
        await eventually_async(lambda: is_heard(member), 60, "it listens")
        member.run("ip", "addr", "add", "10.99.0.22/24", "dev", "w")
        member.run("bash", "-c", "echo x > /dev/tcp/10.99.0.22/9", check=False)
        for address in ("10.99.0.2", "fd99::2"):
            for kind in ("tcp", "udp"):
                client.run("bash", "-c", f"echo x > /dev/{kind}/{address}/9", check=False)
                # And nothing else: what it said to itself was none.
                await eventually_async(lambda: told == [ip_address(address)], 10, kind)  # noqa: B023 - awaited
                told.clear()
        wanted.clear()
        slot.put(ClusterState())
        await eventually_async(lambda: not is_heard(member), 60, "nobody wants it")
        wanted.append(member.path)
        slot.put(ClusterState())
        await eventually_async(
            lambda: is_refused(client, "10.99.0.2", told), 60, "it is wanted again"
        )
    await eventually_async(lambda: not is_heard(member), 60, "it is over")


async def test_a_namespace_that_comes_later_is_listened_in(spaces: Spaces) -> None:
    client, name = spaces.make("client"), f"t-late-{os.getpid()}"
    path = f"/run/netns/{name}"
    async with listening([path]) as (_, told):
        await asyncio.sleep(0)
        run("ip", "netns", "add", name)
        try:
            wired(client, Space(name))
            await eventually_async(lambda: is_refused(client, "10.99.0.2", told), 60, "it is heard")
        finally:
            run("ip", "netns", "del", name)


async def test_a_namespace_that_is_removed_is_let_go_at_the_news(spaces: Spaces) -> None:
    """Else its links live on, with their MAC and IP addresses."""
    client, name = spaces.make("client"), f"t-gone-{os.getpid()}"
    async with listening([f"/run/netns/{name}"]) as (slot, _):
        run("ip", "netns", "add", name)
        try:
            wired(client, Space(name))
            await eventually_async(lambda: is_heard(Space(name)), 60, "it is listened in")
        finally:
            run("ip", "netns", "del", name)
        slot.kick(EVERYWHERE)
        await eventually_async(lambda: not links(client), 60, "its links are gone")


def links(space: Space) -> str:
    return space.run("ip", "-br", "link", "show", "type", "veth")


def is_heard(space: Space) -> bool:
    return "table inet sdd-signs" in space.run("nft", "list", "tables")


def wired(one: Space, two: Space) -> None:
    one.run("ip", "link", "add", "w", "type", "veth", "peer", "name", "w", "netns", two.name)
    for each, last in ((one, 1), (two, 2)):
        each.run("ip", "addr", "add", f"10.99.0.{last}/24", "dev", "w")
        each.run("ip", "addr", "add", f"fd99::{last}/64", "dev", "w", "nodad")
        each.run("ip", "link", "set", "w", "up")


def test_bytes_that_are_no_packet_tell_of_nobody() -> None:
    for each in (b"", b"\0" * 19, b"\0" * 64, bytes(range(200)), b"\xff" * 100):
        assert list(refusals.refusing(each)) == []

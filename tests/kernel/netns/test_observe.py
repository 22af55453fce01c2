"""What the commands ask of the world, and how fast news of changes arrive."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from netns.kernel import events, observe
from sdd.linux import namespaces
from tests.kernel.netns.conftest import Host, run_in
from tests.netns_states import at, box, end, net

pytestmark = pytest.mark.kernel

FRONT = net("front", "10.70.0.0/24", "fd70::/64")


async def test_only_foreign_on_link_prefixes_count(host: Host) -> None:
    await host.settle(at(1, FRONT))
    for command in (
        "ip link add up0 type bridge",
        "ip addr add 192.0.2.1/24 dev up0",
        "ip addr add 2001:db8::1/64 dev up0",
        "ip link set up0 up",
        "ip route add default via 192.0.2.254",
        "ip route add 198.51.100.0/24 via 192.0.2.254",
        "ip route add 203.0.113.0/24 dev up0",
    ):
        host.run(*command.split())
    seen = await observe.Observer(host.doors).host_prefixes()
    assert seen == (
        ip_network("192.0.2.0/24"),
        ip_network("203.0.113.0/24"),
        ip_network("2001:db8::/64"),
    )


async def test_facts_of_a_namespace_and_of_what_is_none(host: Host, tmp_path: Path) -> None:
    observer = observe.Observer(host.doors)
    facts = await observer.namespace(host.path)
    assert (facts.inode, set(facts.ifnames)) == (namespaces.inode(host.path), {"lo"})
    plain = tmp_path / "plain"
    plain.touch()
    for path in (str(plain), str(tmp_path / "absent"), "", str(tmp_path)):
        assert await observer.namespace(path) == observe.Facts()


async def test_a_process_is_known_by_its_namespace_file(host: Host) -> None:
    observer = observe.Observer(host.doors)
    own = observer.pid_namespace(os.getpid())
    assert (await observer.namespace(own)).inode == namespaces.inode(namespaces.OWN)


class Ear:
    """Counts kicks and lets a test wait for the next."""

    def __init__(self) -> None:
        self.kicks = 0
        self._heard = asyncio.Event()

    def kick(self) -> None:
        self.kicks += 1
        self._heard.set()

    async def next(self, deadline_s: float = 30) -> None:  # the kernel ends namespaces at leisure
        self._heard.clear()
        async with asyncio.timeout(deadline_s):
            await self._heard.wait()

    async def silence(self) -> None:
        """Until nothing was heard for longer than a pause between two kicks."""
        with contextlib.suppress(TimeoutError):
            while True:
                await self.next(0.3)


@pytest.fixture
async def ear(host: Host) -> AsyncIterator[Ear]:
    one = Ear()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(events.follow(host.doors, one.kick), name="events")
        while not one.kicks:
            host.run("ip", "addr", "add", "192.0.2.77/32", "dev", "lo")
            host.run("ip", "addr", "del", "192.0.2.77/32", "dev", "lo")
            await asyncio.sleep(0.01)  # it has to open its sockets first
        await one.silence()
        yield one
        task.cancel()


@pytest.mark.parametrize(
    "command",
    [
        "ip link add x type bridge",
        "ip addr add 192.0.2.1/32 dev lo",
        "ip addr add 2001:db8::1/128 dev lo",
        "ip route add 192.0.2.0/24 dev lo",
        "ip -6 route add 2001:db8::/64 dev lo",
        "nft add table inet x",
    ],
)
async def test_every_change_on_the_host_is_news(host: Host, ear: Ear, command: str) -> None:
    host.run(*command.split())
    await ear.next()


async def test_changes_in_a_sandbox_and_its_end_are_news(host: Host, ear: Ear) -> None:
    one = box("one", host.sandbox_path("one"))
    await host.settle(at(1, FRONT, one, end(FRONT, one, "10.70.0.2")))
    await ear.silence()
    run_in(one.netns, "ip", "route", "del", "default")
    await ear.next()
    await ear.silence()
    await host.doors.delete(one.netns)
    await ear.next()


async def test_a_flood_is_a_few_kicks(host: Host, ear: Ear) -> None:
    before = ear.kicks
    batch = "".join(
        f"addr {verb} 192.0.2.1/32 dev lo\n" for _ in range(500) for verb in ("add", "del")
    )
    host.run("sh", "-c", f"printf '{batch}' | ip -batch -")
    await ear.silence()
    assert 0 < ear.kicks - before < 10

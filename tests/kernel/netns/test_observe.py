"""What the commands ask of the world, and how fast news of changes arrive."""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import FrameType

import pytest
import structlog

from netns.kernel import events, host_routes, names, observe
from netns.netlink import route
from sdd import errors
from sdd.linux import namespaces, netlink
from sdd.model import network
from sdd.model.host_link import HostLink
from sdd.model.host_route import HostRoute
from sdd.model.look import EVERYWHERE, HOST, NOWHERE, Look
from tests.kernel.netns.conftest import Host, run_in
from tests.netns_states import at, box, end, net
from tests.support import run

pytestmark = pytest.mark.kernel

FRONT = net("front", "10.70.0.0/24", "fd70::/64")
ALL = (ip_network("0.0.0.0/0"), ip_network("::/0"))
MANY = 50_000
NOWHERE_LAN = net("alone", "10.71.0.0/24", driver=network.Driver.MACVLAN, internal=True)


async def test_foreign_routes_count_but_those_to_everywhere(host: Host) -> None:
    await host.settle(at(1, FRONT))
    for command in (
        "ip link add up0 type bridge",
        "ip addr add 192.0.2.1/24 dev up0",
        "ip addr add 2001:db8::1/64 dev up0",
        "ip link set up0 up",
        "ip route add default via 192.0.2.254",
        "ip route add 0.0.0.0/1 via 192.0.2.254",
        "ip route add 198.51.100.0/24 via 192.0.2.254",
        "ip route add 203.0.113.0/24 dev up0",
    ):
        host.run(*command.split())
    seen = await observer(host).host_prefixes(ALL)
    assert seen == (
        HostRoute(prefix=ip_network("192.0.2.0/24"), link="up0"),
        HostRoute(prefix=ip_network("198.51.100.0/24"), is_direct=False),
        HostRoute(prefix=ip_network("203.0.113.0/24"), link="up0"),
        HostRoute(prefix=ip_network("2001:db8::/64"), link="up0"),
    )


async def test_routes_over_several_links_and_those_that_refuse_count_as_ways(host: Host) -> None:
    for command in (
        "ip link add up0 type bridge",
        "ip link add up1 type bridge",
        "ip addr add 192.0.2.1/25 dev up0",
        "ip addr add 192.0.2.129/25 dev up1",
        "ip addr add 2001:db8::1/64 dev up0",
        "ip link set up0 up",
        "ip link set up1 up",
        "ip route add 172.18.0.0/16 nexthop via 192.0.2.2 nexthop via 192.0.2.130",
        "ip route add 172.19.0.0/16 nexthop dev up0 nexthop dev up1",
        "ip route add 172.20.0.0/16 via inet6 fe80::1 dev up0",
        "ip -6 route add fd18::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3",
        "ip route add unreachable 172.21.0.0/16",
        "ip route add blackhole 172.22.0.0/16",
        "ip route add prohibit 172.23.0.0/16",
        "ip -6 route add unreachable fd19::/48",
        "ip route add throw 172.24.0.0/16",
    ):
        host.run(*command.split())
    seen = await observer(host).host_prefixes(ALL)
    assert {each.prefix: each.link for each in seen if each.is_direct} == {
        ip_network("172.19.0.0/16"): "up1",
        ip_network("192.0.2.0/25"): "up0",
        ip_network("192.0.2.128/25"): "up1",
        ip_network("2001:db8::/64"): "up0",
    }
    ways = [f"172.{number}.0.0/16" for number in (18, 20, 21, 22, 23)] + ["fd18::/48", "fd19::/48"]
    assert [str(each.prefix) for each in seen if not each.is_direct] == ways


async def test_links_that_come_and_go_meanwhile_are_no_obstacle(host: Host) -> None:
    lines = []
    for number in range(300):
        lines += [f"link add up{number} type bridge", f"link set up{number} up"]
        lines += [f"addr add 10.{number // 250}.{number % 250}.1/24 dev up{number}"]
    batch = host.root / "many"
    batch.write_text("\n".join([*lines, *(f"link del up{number}" for number in range(300))]))
    command = ("nsenter", f"--net={host.path}", "ip", "-batch", str(batch))
    coming = await asyncio.create_subprocess_exec(*command)
    while coming.returncode is None:
        with contextlib.suppress(errors.Unavailable):  # it says that it never stands still
            await observer(host).host_prefixes(ALL)
        await asyncio.sleep(0)
    assert coming.returncode == 0
    assert await observer(host).host_prefixes(ALL) == ()


async def test_routes_that_do_not_matter_cost_a_look_at_their_ends(host: Host) -> None:
    places = [f"10.{at >> 8}.{at & 255}.0" for at in range(MANY)]
    lines = ["link add up0 type bridge", "link set up0 up", "addr add 192.0.2.1/24 dev up0"]
    lines += [f"route add {each}/24 via 192.0.2.2" for each in places]
    batch = host.root / "many"
    batch.write_text("\n".join(lines))
    host.run("ip", "-batch", str(batch))
    near = [ip_network(each) for each in ("172.16.0.0/12", "10.9.0.0/16", "fd00::/48")]
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls[frame.f_code.co_qualname] += 1

    def counted() -> tuple[HostRoute, ...]:
        sys.setprofile(note)
        try:
            return host_routes.read(near)
        finally:
            sys.setprofile(None)

    seen = await host.doors.run("", counted)
    assert {each.prefix for each in seen} == set(near[1].subnets(new_prefix=24))
    assert calls["span"] >= MANY
    assert calls["attributes"] + calls["ip_network"] < 5 * len(seen), "only of what is near"
    assert sum(calls.values()) < 8 * MANY


async def test_facts_of_a_namespace_and_of_what_is_none(host: Host, tmp_path: Path) -> None:
    facts = await observer(host).namespace(host.path)
    assert (facts.inode, set(facts.ifnames)) == (namespaces.inode(host.path), {"lo"})
    plain = tmp_path / "plain"
    plain.touch()
    for path in (str(plain), str(tmp_path / "absent"), "", str(tmp_path)):
        assert await observer(host).namespace(path) == observe.Facts()


async def test_a_process_is_known_by_its_namespace_file(host: Host) -> None:
    own = f"/proc/{os.getpid()}/ns/net"
    found = await observer(host).inodes([own, host.path, "/absent"])
    mine = namespaces.inode(namespaces.OWN)
    assert found == {own: mine, host.path: namespaces.inode(host.path), "/absent": 0}


async def test_a_name_is_taken_by_whatever_is_there_but_our_own_link(host: Host) -> None:
    linked = host.root / "var-run-netns"
    await host.settle(at(1, box("one", host.sandbox_path("one"))))
    (linked / "file").touch()
    (linked / "dangling").symlink_to("/absent")
    homonyms = [await observer(host).homonym(each) for each in ("one", "free", "file", "dangling")]
    assert homonyms == ["", "", str(linked / "file"), str(linked / "dangling")]


async def test_C118_links_of_the_host_are_told_as_parents(host: Host) -> None:
    for command in (
        "ip link add br9 type bridge",
        "ip link add up0 mtu 1400 type veth peer up1",
        "ip link set up1 master br9",
        "ip addr add 192.0.2.1/24 dev br9",
        "ip link property add dev up0 altname enp3s0",
    ):
        host.run(*command.split())
    found = await observer(host).links(["up0", "up1", "br9", "lo", "nope", "x" * 40, "enp3s0"])
    own = (ip_address("127.0.0.1"), ip_address("::1"))
    with_mac = [each.mac for each in found.values() if each is not None]
    assert all(each and each in host.run("ip", "link") for each in with_mac)
    assert {name: each and replace(each, mac="") for name, each in found.items()} == {
        "up0": HostLink(mtu=1400),
        "enp3s0": HostLink(mtu=1400, own_name="up0"),
        "up1": HostLink(mtu=1500, holder="bridge"),
        "br9": HostLink(mtu=1500, addresses=(ip_address("192.0.2.1"),)),
        "lo": HostLink(mtu=65536, is_ethernet=False, addresses=own),
        "nope": None,
        "x" * 40: None,
    }


def observer(host: Host) -> observe.Observer:
    made = names.Names(host.doors, host.root / "exec" / "netns", host.root / "var-run-netns")
    return observe.Observer(host.doors, made)


class Ear:
    """Counts kicks, keeps where they look, and lets a test wait for the next."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.kicks = 0
        self.look = NOWHERE
        self.paths: list[str] = []
        self._heard = asyncio.Event()

    def kick(self, look: Look) -> None:
        self.kicks += 1
        self.look |= look
        self._heard.set()

    async def next(self, deadline_s: float = 30) -> None:  # the kernel ends namespaces at leisure
        self._heard.clear()
        async with asyncio.timeout(deadline_s):
            await self._heard.wait()

    async def hear_of(self, *spaces: str, links: tuple[str, ...] = ()) -> None:
        """Until all these were named since the last silence; the kernel has news of its own too."""
        while not (self.look.spaces >= set(spaces) and self.look.links >= set(links)):
            await self.next()

    async def silence(self) -> None:
        """Until nothing was heard for a while, and all is told: news of links keep their order."""
        with contextlib.suppress(TimeoutError):
            while True:
                await self.next(0.3)
        self.look = NOWHERE
        self._host.run("ip", "link", "add", last := f"after{self.kicks}", "type", "bridge")
        await self.hear_of(HOST, links=(last,))
        self.look = NOWHERE


@pytest.fixture
async def ear(host: Host) -> AsyncIterator[Ear]:
    one = Ear(host)
    async with asyncio.TaskGroup() as group:
        following = events.follow(host.doors, lambda: one.paths, one.kick)
        task = group.create_task(following, name="events")
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


async def test_B9_53_an_overrun_looks_everywhere_and_is_logged_once(
    host: Host, ear: Ear, tmp_path: Path
) -> None:
    many = [f"addr add 192.0.{at // 250}.{at % 250 + 1}/32 dev lo" for at in range(4000)]
    (tmp_path / "many").write_text("\n".join(many))
    with structlog.testing.capture_logs() as logged:
        # Nobody reads meanwhile: this thread waits for the command.
        host.run("ip", "-batch", str(tmp_path / "many"))
        await ear.next()
        assert ear.look == EVERYWHERE
        await ear.silence()
    assert [each["event"] for each in logged].count("kernel.news_lost") == 1
    host.run("ip", "link", "add", "x", "type", "bridge")
    await ear.hear_of(HOST, links=("x",))
    assert ear.look.links == {"x"}, "it hears on"


async def test_a_link_of_the_host_is_told_by_all_its_names(host: Host, ear: Ear) -> None:
    host.run("ip", "link", "add", "x", "type", "bridge")
    await ear.silence()
    host.run("ip", "link", "set", "x", "name", "y")
    await ear.hear_of(HOST, links=("x", "y"))
    assert ear.look.links == {"x", "y"}
    await ear.silence()
    host.run("ip", "addr", "add", "192.0.2.1/24", "dev", "y")
    await ear.hear_of(HOST, links=("y",))
    assert ear.look.links == {"y"}
    await ear.silence()
    host.run("ip", "link", "del", "y")
    await ear.hear_of(HOST, links=("y",))
    assert ear.look == Look(spaces=frozenset({HOST}), links=frozenset({"y"}))


async def test_changes_in_a_sandbox_and_its_end_are_news_of_that_one(host: Host, ear: Ear) -> None:
    one, two = (box(name, host.sandbox_path(name)) for name in ("one", "two"))
    ends = end(FRONT, one, "10.70.0.2"), end(FRONT, two, "10.70.0.3")
    ear.paths += [one.netns, two.netns, "/nowhere"]
    await host.settle(at(1, FRONT, one, two, *ends))
    await ear.silence()
    for command in ("ip route del default", "nft add table inet x", "ip link set lo down"):
        run_in(one.netns, *command.split())
        await ear.hear_of(one.netns)
        assert two.netns not in ear.look.spaces
        await ear.silence()
    await host.doors.delete(one.netns)
    await ear.hear_of(one.netns, HOST, links=(ends[0].host_link,))
    assert two.netns not in ear.look.spaces
    assert ends[1].host_link not in ear.look.links


async def test_a_sandbox_that_no_pair_leads_into_is_heard(host: Host, ear: Ear) -> None:
    one = box("one", host.sandbox_path("one"))
    ear.paths += [one.netns]
    await host.settle(at(1, NOWHERE_LAN, one, end(NOWHERE_LAN, one, "10.71.0.2")))
    await ear.silence()
    run_in(one.netns, "ip", "addr", "flush", "dev", "eth0")
    await ear.hear_of(one.netns)


async def test_a_sandbox_without_networks_is_heard(host: Host, ear: Ear) -> None:
    one = box("one", host.sandbox_path("one"))
    ear.paths += [one.netns]
    await host.realise(at(1, one))
    await ear.silence()
    run_in(one.netns, "nft", "add", "table", "inet", "x")
    await ear.hear_of(one.netns)


async def test_an_adopted_namespace_is_heard_from_its_first_look_on(host: Host, ear: Ear) -> None:
    path = str(host.root / "t-netns-guest")
    guest = box("guest", path, inode=await host.doors.create(path))
    ear.paths += [path]
    await host.realise(at(1, guest))
    await ear.silence()
    run_in(path, "ip", "link", "set", "lo", "down")
    await ear.hear_of(path)


async def test_a_namespace_made_anew_at_a_path_is_told_by_its_new_number(
    host: Host, ear: Ear
) -> None:
    one = box("one", host.sandbox_path("one"))
    ear.paths += [one.netns]
    now = at(1, FRONT, one, end(FRONT, one, "10.70.0.2"))
    await host.settle(now)
    await ear.silence()
    for _ in range(3):
        run_in(one.netns, "ip", "link", "set", "lo", "down")
        await ear.hear_of(one.netns)
        await host.doors.delete(one.netns)
        await host.settle(now)
        await ear.silence()


def test_without_the_capability_it_says_once_that_sandboxes_are_not_heard() -> None:
    script = (
        "from netns.kernel import events; from sdd.linux import capabilities;"
        "print(capabilities.is_deaf()); events._open()"
    )
    without = ("setpriv", "--bounding-set=-net_broadcast", "--inh-caps=-all")
    said = [
        run(*before, sys.executable, "-c", script, timeout_s=60).stdout for before in (without, ())
    ]
    assert [each.count("kernel.deaf") for each in said] == [1, 0]
    assert [each.split()[0] for each in said] == ["True", "False"]


async def test_namespaces_of_strangers_are_no_news(host: Host, ear: Ear) -> None:
    one = box("one", host.sandbox_path("one"))
    await host.settle(at(1, FRONT, one, end(FRONT, one, "10.70.0.2")))
    await ear.silence()
    run_in(one.netns, "ip", "link", "set", "lo", "down")
    host.run("ip", "link", "set", "lo", "down")
    await ear.hear_of(HOST)
    assert ear.look.spaces == {HOST}


async def test_what_this_process_does_with_several_sockets_is_no_news(host: Host, ear: Ear) -> None:
    quiet = route.Entry(
        destination=ip_network("198.51.100.0/24"),
        gateway=None,
        index=1,
        table=254,
        metric=0,
        protocol=4,
    )

    def work() -> None:
        with netlink.Connection(netlink.ROUTE), netlink.Connection(netlink.ROUTE) as second:
            assert second.request((route.add(quiet),))[0].error == 0

    kicks = ear.kicks
    await host.doors.run("", work)
    assert "198.51.100.0/24" in host.run("ip", "route")
    await ear.silence()
    assert ear.kicks == kicks + 1, "of the silence itself"


async def test_a_flood_is_a_few_kicks(host: Host, ear: Ear) -> None:
    before = ear.kicks
    batch = "".join(f"addr {verb} 192.0.2.1/32 dev lo\n" for verb in ("add", "del")) * 500
    host.run("sh", "-c", f"printf '{batch}' | ip -batch -")
    await ear.silence()
    assert 0 < ear.kicks - before < 100, "of a thousand changes"

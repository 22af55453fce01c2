"""macvlan networks: sandboxes on a link of the host, seen from its neighbours."""

import os
from collections.abc import Iterator

import pytest

from netns import reconciler
from sdd import state
from sdd.model import network
from sdd.model.look import Look
from tests.kernel.netns import outside
from tests.kernel.netns.conftest import Host, run_in
from tests.kernel.netns.outside import pings
from tests.netns_states import NODE, at, box, end, net

pytestmark = pytest.mark.kernel

MACVLAN = network.Driver.MACVLAN
LAN = net("lan", "192.0.2.0/24", "2001:db8::/64", driver=MACVLAN, options={"parent": "up0"})
ONE, TWO = ("192.0.2.50", "2001:db8::50"), ("192.0.2.51", "2001:db8::51")


@pytest.fixture
def neighbour(host: Host) -> Iterator[str]:
    with outside.neighbour(host) as path:
        yield path


def two_on(host: Host, lan: network.Network, *addresses: tuple[str, ...]) -> state.ClusterState:
    one, two = (box(name, host.sandbox_path(name)) for name in ("one", "two"))
    first, second = addresses or (ONE, TWO)
    return at(1, lan, one, two, end(lan, one, *first), end(lan, two, *second))


async def test_sandboxes_are_neighbours_of_the_hosts_neighbours(host: Host, neighbour: str) -> None:
    await host.settle(two_on(host, LAN))
    for address in ONE:
        assert pings(neighbour, address)
        assert pings(host.sandbox_path("two"), address)
    for address in (outside.THERE4, outside.THERE6):
        assert pings(host.sandbox_path("one"), address)
    assert "macvlan mode bridge" in host.inside("one", "ip", "-d", "link", "show", "eth0")
    assert "proto 83" in host.inside("one", "ip", "route", "show", "default")


@pytest.mark.parametrize(("mode", "talk"), [("bridge", True), ("private", False), ("vepa", False)])
async def test_the_mode_decides_whether_sandboxes_talk(
    host: Host, neighbour: str, mode: str, talk: bool
) -> None:
    lan = net(
        "lan", "192.0.2.0/24", driver=MACVLAN, options={"parent": "up0", "macvlan_mode": mode}
    )
    await host.settle(two_on(host, lan, ONE[:1], TWO[:1]))
    assert pings(neighbour, ONE[0])
    assert pings(host.sandbox_path("one"), TWO[0], outside.limit_s(talk)) is talk
    assert f"macvlan mode {mode}" in host.inside("one", "ip", "-d", "link", "show", "eth0")


async def test_passthru_takes_the_parent_for_one_sandbox(host: Host, neighbour: str) -> None:
    lan = net(
        "lan", "192.0.2.0/24", driver=MACVLAN, options={"parent": "up0", "macvlan_mode": "passthru"}
    )
    outcome = await host.realise(two_on(host, lan, ONE[:1], TWO[:1]))
    (failure,) = outcome.failures
    assert "the kernel refuses the link 'eth0'" in failure.sentence
    assert "up0" in failure.hint
    assert "passthru takes a parent for one sandbox" in failure.hint
    assert neighbour


async def test_an_mtu_that_the_parent_has_not_is_named(host: Host, neighbour: str) -> None:
    assert neighbour
    options = {"parent": "up0", network.OPTION_MTU: "9000"}
    lan = net("lan", "192.0.2.0/24", driver=MACVLAN, options=options)
    outcome = await host.realise(two_on(host, lan, ONE[:1], TWO[:1]))
    assert len(outcome.failures) == 2
    assert all("up0" in each.hint and "its MTU" in each.hint for each in outcome.failures)


@pytest.mark.parametrize("internal", [True])
async def test_C112_without_a_parent_they_have_each_other_and_nobody_else(
    host: Host, neighbour: str, internal: bool
) -> None:
    alone = net("alone", "192.0.2.0/24", driver=MACVLAN, internal=internal)
    await host.settle(two_on(host, alone, ONE[:1], TWO[:1]))
    one = host.sandbox_path("one")
    assert pings(one, TWO[0])
    assert not pings(one, outside.THERE4, outside.SILENCE_S)
    assert run_in(one, "ip", "route", "show", "default") == ""
    assert not pings(neighbour, ONE[0], outside.SILENCE_S)
    await host.settle(at(2))
    assert "dm-" not in host.run("ip", "link")
    assert "dx-" not in host.run("ip", "link")


async def test_C113_each_address_has_the_gateway_of_its_own_subnet(
    host: Host, neighbour: str
) -> None:
    assert neighbour
    many = net(
        "many",
        "10.60.0.0/24",
        "10.61.0.0/24",
        "fd60::/64",
        driver=MACVLAN,
        options={"parent": "up0"},
    )
    await host.settle(two_on(host, many, ("10.60.0.5", "fd60::5"), ("10.61.0.5", "fd60::6")))
    assert "default via 10.60.0.1" in host.inside("one", "ip", "route")
    assert "default via 10.61.0.1" in host.inside("two", "ip", "route")
    assert not pings(host.sandbox_path("one"), "10.61.0.5", outside.SILENCE_S)
    assert pings(host.sandbox_path("one"), "fd60::6")


async def test_C115_a_31_on_a_parent(host: Host, neighbour: str) -> None:
    assert neighbour
    pool = network.Pool(subnet=LAN.pools[0].subnet.supernet().subnets(new_prefix=31).__next__())
    tiny = network.Network(
        id=LAN.id, name="tiny", driver=MACVLAN, pools=(pool,), options={"parent": "up0"}
    )
    first, second = (str(pool.subnet[number]) for number in (0, 1))
    await host.settle(two_on(host, tiny, (first,), (second,)))
    assert pings(host.sandbox_path("one"), second)


async def test_C116_a_parent_that_is_down_is_no_obstacle(host: Host) -> None:
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "up1")
    await host.settle(two_on(host, LAN))
    assert "inet 192.0.2.50/24" in host.inside("one", "ip", "addr", "show", "eth0")


async def test_a_parent_that_is_not_there_is_named(host: Host) -> None:
    outcome = await host.realise(two_on(host, LAN))
    assert {failure.code for failure in outcome.failures} == {"SDD-NETNS-REFUSED"}
    assert all("there is no link 'up0'" in failure.sentence for failure in outcome.failures)
    assert all("ip -br link" in failure.hint for failure in outcome.failures)
    assert len(outcome.failures) == 2


async def test_a_parent_that_serves_a_bridge_is_named(host: Host, neighbour: str) -> None:
    assert neighbour
    host.run("ip", "link", "add", "br9", "type", "bridge")
    host.run("ip", "link", "set", "up0", "master", "br9")
    outcome = await host.realise(two_on(host, LAN))
    assert len(outcome.failures) == 2
    assert all("bridge" in failure.hint for failure in outcome.failures)


async def test_only_our_link_leaves_an_adopted_namespace(host: Host, neighbour: str) -> None:
    path = str(host.root / "t-netns-guest")
    guest = box("guest", path, inode=await host.doors.create(path))
    run_in(path, "ip", "link", "add", "own0", "type", "bridge")
    await host.settle(at(1, LAN, guest, end(LAN, guest, *ONE)))
    assert pings(neighbour, ONE[0])
    await host.settle(at(2, LAN))
    links = run_in(path, "ip", "-br", "link")
    assert "own0" in links
    assert "eth0" not in links


async def test_a_kill_between_forgetting_a_guest_and_cleaning_it_heals(
    host: Host, neighbour: str
) -> None:
    assert neighbour
    path = str(host.root / "t-netns-guest")
    guest = box("guest", path, inode=await host.doors.create(path))
    await host.settle(at(1, LAN, guest, end(LAN, guest, *ONE)))
    # Killed; the state that a new daemon finds knows nothing of the guest any more.
    fresh = reconciler.Reconciler(host.kernel, NODE)
    assert (await fresh.realise(at(2, LAN))).failures == ()
    assert "eth0" not in run_in(path, "ip", "-br", "link")
    assert list((host.root / "exec" / "guests").iterdir()) != []
    assert (await fresh.realise(at(2, LAN))).changed == 0
    assert list((host.root / "exec" / "guests").iterdir()) == []


async def test_a_guest_that_cannot_be_remembered_is_refused_alone(
    host: Host, neighbour: str
) -> None:
    path = str(host.root / "t-netns-guest")
    guest = box("guest", path, inode=await host.doors.create(path))
    named = box("named", host.sandbox_path("named"))
    (host.root / "exec").mkdir(exist_ok=True)
    (host.root / "exec" / "guests").touch()  # as a full disk: no folder can be made
    now = at(1, LAN, guest, named, end(LAN, guest, *ONE), end(LAN, named, *TWO))
    outcome = await host.realise(now)
    assert len(outcome.failures) == 1
    assert "eth0" not in run_in(path, "ip", "-br", "link")
    assert pings(neighbour, TWO[0])


async def test_a_named_sandbox_in_use_loses_its_link_at_once(host: Host, neighbour: str) -> None:
    now = two_on(host, LAN)
    await host.settle(now)
    # Somebody still has the namespace open when it is removed.
    held = os.open(host.sandbox_path("one"), os.O_RDONLY)
    try:
        await host.settle(at(2, LAN))
        assert not pings(neighbour, ONE[0], outside.SILENCE_S)
    finally:
        os.close(held)


async def test_the_mtu_follows_the_parent_down_and_up_again(host: Host, neighbour: str) -> None:
    assert neighbour
    now = two_on(host, LAN)
    await host.settle(now)
    for mtu in ("1400", "1500"):
        host.run("ip", "link", "set", "up0", "mtu", mtu)
        await host.settle(now)
        assert f"mtu {mtu} " in host.inside("one", "ip", "link", "show", "eth0")


async def test_the_mtu_follows_a_parent_of_which_alone_was_heard(
    host: Host, neighbour: str
) -> None:
    assert neighbour
    options = {"parent": "up0", "host-access": "true"}
    lan = net("lan", "192.0.2.0/24", "2001:db8::/64", driver=MACVLAN, options=options)
    now = two_on(host, lan)
    await host.settle(now)
    for mtu in ("1400", "1500", "1600"):
        host.run("ip", "link", "set", "up0", "mtu", mtu)
        outcome = await host.reconciler.realise(now, Look(links=frozenset({"up0"})))
        assert outcome.failures == ()
        assert host.run("ip", "link").count(f"@up0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu {mtu}")
        for name in ("one", "two"):
            assert f"mtu {mtu} " in host.inside(name, "ip", "link", "show", "eth0")
        assert (await host.realise(now)).changed == 0


@pytest.mark.parametrize("mode", ["bridge", "passthru"])
@pytest.mark.parametrize("is_new", [False, True], ids=["the-same", "another"])
async def test_a_link_in_a_namespace_that_lost_its_name_is_in_nobodys_way(
    host: Host, neighbour: str, mode: str, is_new: bool
) -> None:
    options = {"parent": "up0", "macvlan_mode": mode}
    lan = net("lan", "192.0.2.0/24", driver=MACVLAN, options=options)
    boxes = [box(name, host.sandbox_path(name)) for name in ("one", "two")]
    before, after = (at(1 + n, lan, b, end(lan, b, ONE[0])) for n, b in enumerate(boxes))
    await host.settle(before)
    held = os.open(host.sandbox_path("one"), os.O_RDONLY)  # as a program in it does
    try:
        await host.doors.delete(host.sandbox_path("one"))
        now = after if is_new else before
        await host.settle(now)
        assert pings(neighbour, ONE[0])
        assert "eth0" not in run_in(f"/proc/{os.getpid()}/fd/{held}", "ip", "link")
    finally:
        os.close(held)


async def test_an_address_that_somebody_else_has_on_the_parent_is_said(
    host: Host, neighbour: str
) -> None:
    assert neighbour
    now = two_on(host, LAN, ONE, TWO)
    mac = next(iter(now.endpoints.values())).mac
    host.run("ip", "link", "add", "mine", "link", "up0", "address", mac, "type", "macvlan")
    host.run("ip", "link", "set", "mine", "up")
    (failure,) = (await host.realise(now)).failures
    assert "Address already in use" in failure.sentence
    assert "another link on the same parent has its MAC" in failure.hint
    host.run("ip", "link", "del", "mine")
    await host.settle(now)


async def test_a_deleted_parent_and_its_children_come_back_with_it(
    host: Host, neighbour: str
) -> None:
    now = two_on(host, LAN)
    await host.settle(now)
    host.run("ip", "link", "del", "up0")
    assert (await host.realise(now)).failures != ()
    host.doors.delete_sync(neighbour)
    with outside.neighbour(host) as again:
        await host.settle(now)
        assert pings(again, ONE[0])


@pytest.mark.parametrize(
    "damage",
    [
        "ip link del eth0",
        "ip addr flush dev eth0",
        "ip link set eth0 down",
        "ip link set eth0 type macvlan mode private",
    ],
)
async def test_what_is_changed_by_hand_comes_back(host: Host, neighbour: str, damage: str) -> None:
    now = two_on(host, LAN)
    await host.settle(now)
    host.inside("one", *damage.split())
    outcome = await host.settle(now)
    assert outcome.repaired == outcome.changed > 0
    assert pings(neighbour, ONE[0])
    assert pings(host.sandbox_path("two"), ONE[0])

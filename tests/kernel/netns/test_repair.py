"""Hands in the kernel: whatever is deleted or changed comes back in one pass; kills heal."""

import asyncio
import functools
import subprocess

import pytest

from netns import contract, desired, plan, reconciler
from netns.kernel import events, linux
from sdd import state
from sdd.model.interface import SYSCTLS
from sdd.model.look import NOWHERE, Look
from sdd.model.network import Driver
from sdd.model.progress import EVERYTHING, told_once
from tests.kernel.netns.conftest import Host
from tests.netns_states import NODE, at, box, end, identity, net
from tests.support import eventually, eventually_async

pytestmark = pytest.mark.kernel

FRONT = net("front", "10.70.0.0/24", "fd70::/64")
BRIDGE = FRONT.device


def one_client(host: Host) -> state.ClusterState:
    boxes = [box(name, host.sandbox_path(name)) for name in ("web", "client")]
    ends = [
        end(FRONT, each, f"10.70.0.{number}", f"fd70::{number}")
        for number, each in enumerate(boxes, 2)
    ]
    return at(1, FRONT, *boxes, *ends)


def works(host: Host) -> None:
    for target in ("10.70.0.2", "10.70.0.1", "fd70::2", "fd70::1"):
        host.inside("client", "ping", "-c1", "-w30", target)
    assert "default via 10.70.0.1 dev eth0" in host.inside("client", "ip", "route")
    assert "default via fd70::1 dev eth0" in host.inside("client", "ip", "-6", "route")
    assert "10.70.0.0/24" in host.run("nft", "list", "set", "inet", "sdd", "nat4")
    host.inside("client", "ping", "-c1", "-w30", "127.0.0.11")
    for links in (host.run("ip", "link"), host.inside("client", "ip", "link")):
        assert "mtu 1300" not in links
        assert "moved0" not in links
        assert all("NOARP" not in line or ": lo:" in line for line in links.splitlines())
    assert host.run("sysctl", "-n", f"net.ipv4.conf.{BRIDGE}.forwarding").strip() == "1"
    assert "stp_state 0" in host.run("ip", "-d", "link", "show", BRIDGE)
    port = host.run("bridge", "-d", "link", "show", "dev", VETH)
    for each in ("learning on", "flood on", "mcast_flood on", "bcast_flood on", "locked off"):
        assert f" {each} " in port
    for each in ("guard off", "root_block off", "fastleave off", "mcast_to_unicast off"):
        assert f" {each} " in port
    assert " mcast_router 1 " in port
    assert f"alias sdd:{FRONT.id}" in host.run("ip", "link", "show", BRIDGE)


VETH = f"veth{identity('front client')[:7]}"


@pytest.mark.parametrize(
    ("where", "damage"),
    [
        ("host", "nft delete table inet sdd"),
        ("host", "nft flush chain inet sdd forward"),
        ("host", "nft delete element inet sdd networks { BRIDGE }"),
        ("host", "nft flush ruleset"),
        ("host", "ip addr flush dev BRIDGE"),
        ("host", "ip link set BRIDGE down"),
        ("host", "ip link set BRIDGE address 02:99:99:99:99:99"),
        ("host", "ip link set BRIDGE type bridge stp_state 1"),
        ("host", "ip link del BRIDGE"),
        ("host", "ip link set BRIDGE down && ip link set BRIDGE name moved0"),
        ("host", "ip link set VETH down && ip link set VETH name moved0"),
        ("host", "ip link del VETH"),
        ("host", "ip link set VETH down"),
        ("host", "ip link set VETH nomaster"),
        ("host", "ip link set VETH alias x"),
        ("host", "ip link set BRIDGE alias x"),
        ("host", "ip link set BRIDGE alias x group default"),
        ("host", "ip link set VETH alias x group default"),
        ("host", "ip link set BRIDGE arp off"),
        ("host", "sysctl -w net.ipv4.conf.BRIDGE.forwarding=0"),
        ("host", "ip link set VETH arp off"),
        ("client", "ip link set eth0 arp off"),
        ("host", "bridge link set dev VETH state 0"),
        ("host", "bridge link set dev VETH learning off flood off"),
        ("host", "bridge link set dev VETH mcast_flood off bcast_flood off"),
        ("host", "bridge link set dev VETH hairpin on isolated on"),
        ("host", "bridge link set dev VETH locked on neigh_suppress on"),
        ("host", "bridge link set dev VETH guard on root_block on fastleave on"),
        ("host", "bridge link set dev VETH mcast_to_unicast on vlan_tunnel on mcast_router 0"),
        ("host", "ip link set VETH type bridge_slave proxy_arp_wifi on"),
        ("host", "bridge link set dev VETH state 0 && ip link set VETH down"),
        ("host", "sysctl -qw net.ipv4.ip_forward=0"),
        ("host", "sysctl -qw net.ipv6.conf.all.forwarding=0"),
        ("client", "ip route del default"),
        ("client", "ip -6 route del default"),
        ("client", "ip route replace default via 10.70.0.9"),
        ("client", "ip route del 10.70.0.0/24"),
        ("client", "ip -6 route del fd70::/64"),
        ("client", "ip route flush dev eth0"),
        ("client", "ip -6 route flush dev eth0"),
        ("client", "ip route replace 10.70.0.0/24 via 10.70.0.9"),
        ("client", "ip route del local 10.70.0.3 table local dev eth0"),
        ("client", "ip route del local 127.0.0.0/8 table local dev lo"),
        ("client", "ip addr del 127.0.0.1/8 dev lo"),
        ("client", "ip addr del ::1/128 dev lo"),
        ("client", "ip addr flush dev lo"),
        ("host", "ip route del local 10.70.0.1 table local dev BRIDGE"),
        ("host", "ip route del 10.70.0.0/24"),
        ("host", "ip -6 route del fd70::/64"),
        ("client", "ip addr flush dev eth0"),
        ("client", "ip link set eth0 down"),
        ("client", "ip link set lo down"),
        ("client", "ip link set eth0 address 02:99:99:99:99:99"),
        ("client", "ip link set eth0 mtu 1300"),
        ("host", "ip link set VETH mtu 1300"),
        ("host", "ip link set BRIDGE mtu 1300"),
        ("client", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=0"),
        ("client", "ip link del eth0"),
        ("client", "ip link add br9 type bridge"),
    ],
)
async def test_what_is_changed_by_hand_comes_back(host: Host, where: str, damage: str) -> None:
    now = one_client(host)
    await host.settle(now)
    before = routes(host)
    command = ("sh", "-c", damage.replace("BRIDGE", BRIDGE).replace("VETH", VETH))
    if where == "host":
        host.run(*command)
    else:
        host.inside(where, *command)
    outcome = await host.settle(now)
    foreign = "br9" in damage
    assert foreign or outcome.repaired == outcome.changed > 0
    works(host)
    if "route" in damage or "dev lo" in damage:
        assert routes(host) == before


@pytest.mark.parametrize(
    ("damage", "heard"),
    [
        ("ip link set BRIDGE down && ip link set BRIDGE name moved0", {BRIDGE, "moved0"}),
        ("ip link set VETH down && ip link set VETH name moved0", {VETH, "moved0"}),
        ("ip link del BRIDGE", {BRIDGE}),
        ("bridge link set dev VETH state 0", {VETH}),
    ],
)
async def test_one_look_at_what_was_heard_brings_all_back(
    host: Host, damage: str, heard: set[str]
) -> None:
    now = one_client(host)
    await host.settle(now)
    host.run("sh", "-c", damage.replace("BRIDGE", BRIDGE).replace("VETH", VETH))
    outcome = await host.reconciler.realise(now, Look(links=frozenset(heard)))
    assert outcome.failures == ()
    assert outcome.repaired == outcome.changed > 0
    works(host)
    assert (await host.realise(now)).changed == 0


@pytest.mark.parametrize(
    "damage",
    [
        "ip route replace 10.70.0.0/24 dev lo",
        "ip -6 route replace fd70::/64 dev lo metric 256",
        "ip route replace unreachable 10.70.0.0/24",
    ],
)
async def test_a_route_that_somebody_replaced_is_heard_of_and_comes_back(
    host: Host, damage: str
) -> None:
    now = one_client(host)
    await host.settle(now)
    before, looks = routes(host), list[Look]()
    async with asyncio.TaskGroup() as group:
        following = events.follow(host.doors, tuple, looks.append)
        task = group.create_task(following, name="events")
        while not looks:  # it has to open its sockets first
            host.run("ip", "addr", "add", "192.0.2.77/32", "dev", "lo")
            host.run("ip", "addr", "del", "192.0.2.77/32", "dev", "lo")
            await asyncio.sleep(0.01)
        host.run(*damage.split())
        assert not {*before} <= {*routes(host)}
        await eventually_async(lambda: any(each.routes for each in looks), 30, "it is heard")
        task.cancel()
    (look,) = [each for each in looks if each.routes]
    outcome = await host.reconciler.realise(now, look)
    assert outcome.failures == ()
    assert outcome.repaired == outcome.changed == 1
    assert {*before} < {*routes(host)}  # what somebody else put there is theirs


def routes(host: Host) -> list[str]:
    """Of the host and the client, without link-local ones, which nobody asked for."""
    found = [
        text
        for version in ("-4", "-6")
        for run in (host.run, functools.partial(host.inside, "client"))
        for which in ((), ("show", "table", "local", "type", "local"))
        if not which or version == "-4"
        for text in run("ip", version, "route", *which).splitlines()
    ]
    return sorted(each for each in found if "fe80::" not in each)


async def test_bridges_forward_whatever_links_are_born_with(host: Host) -> None:
    """Unless it is internal: from there nothing is to go anywhere."""
    bridges = [FRONT, net("back", "10.71.0.0/24", internal=True)]
    await host.settle(at(1, net("first", "10.72.0.0/24")))  # the host forwards from here on
    host.run("sysctl", "-qw", "net.ipv4.conf.default.forwarding=0")
    await host.settle(at(2, *bridges))
    files = [f"net.ipv4.conf.{each.device}.forwarding" for each in bridges]
    assert host.run("sysctl", "-n", *files).split() == ["1", "0"]


async def test_the_host_stays_guarded_whatever_becomes_of_our_memory(host: Host) -> None:
    now = one_client(host)
    await host.settle(now)
    guarded = host.run("nft", "list", "set", "inet", "sdd", "guarded")
    assert "elements" in guarded
    memory = host.root / "exec" / "forwarding"
    for text in ("", None):
        memory.unlink() if text is None else memory.write_text(text)
        await host.settle(now)
        assert host.run("nft", "list", "set", "inet", "sdd", "guarded") == guarded
        assert memory.read_text() == "[4, 6]"
    memory.unlink()
    await host.settle(at(2))
    assert host.run("sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"
    assert not memory.exists()


async def test_a_foreign_link_in_the_way_is_said_and_left_alone(host: Host) -> None:
    host.run("ip", "link", "add", BRIDGE, "type", "bridge")
    outcome = await host.realise(one_client(host))
    subjects = {failure.subject for failure in outcome.failures}
    assert FRONT.id in subjects
    assert {failure.code for failure in outcome.failures} == {"SDD-NETNS-TAKEN"}
    assert "alias" not in host.run("ip", "link", "show", BRIDGE)


async def test_a_namespace_deleted_by_hand_comes_back(host: Host) -> None:
    now = one_client(host)
    await host.settle(now)
    await host.doors.delete(host.sandbox_path("client"))
    await host.settle(now)
    works(host)


def seen(host: Host) -> tuple[str, ...]:
    views = [host.run("ip", "addr"), host.run("nft", "list", "ruleset")]
    views += [host.inside(name, "ip", "addr") for name in ("web", "client")]
    return (
        *views,
        host.inside("client", "ip", "route"),
        host.inside("client", "ip", "-6", "route"),
    )


def has_link_local(host: Host) -> bool:
    """It gives them in its own time, and they are usable some time after that."""
    given = ("ip", "-6", "addr", "show", "dev", "eth0", "scope", "link", "-tentative")
    return all("fe80::" in host.inside(name, *given) for name in ("web", "client"))


async def test_a_restart_adopts_everything_and_changes_nothing(host: Host) -> None:
    now = one_client(host)
    await host.settle(now)
    eventually(lambda: has_link_local(host), 30, "the kernel has given link-local addresses")
    before = seen(host)
    restarted = linux.LinuxKernel(host.doors, host.root / "exec", host.root / "var-run-netns")
    outcome = await reconciler.Reconciler(restarted, NODE).realise(now)
    # The table is written once after a start: what it should look like is known only then.
    assert (outcome.failures, outcome.changed) == ((), 1)
    assert seen(host) == before


async def test_a_kill_after_each_step_heals_at_the_next_start(host: Host) -> None:
    now = one_client(host)
    want = desired.desired(now, NODE)
    everything = contract.Scope(paths=frozenset(want.spaces) - {""})
    whole = plan.diff(await host.kernel.read(everything), want)
    for killed_after in range(len(whole) + 1):
        await host.kernel.apply(whole[:killed_after])
        fresh = reconciler.Reconciler(host.kernel, NODE)
        assert (await fresh.realise(now)).failures == ()
        assert (await fresh.realise(now)).changed == 0
        works(host)
        undo = plan.diff(await host.kernel.read(everything), desired.desired(at(2), NODE))
        await host.kernel.apply(undo[: killed_after % (len(undo) + 1)])
        assert (await fresh.realise(at(3))).failures == ()
        assert host.run("ip", "-br", "link").split()[0] == "lo"


async def test_C106_a_bridge_that_is_full_is_said(host: Host) -> None:
    now = one_client(host)
    await host.settle(at(1, FRONT))
    pairs = [f"link add a{n} type veth peer name b{n}" for n in range(512)]
    ports = [f"link set {side}{n} master {BRIDGE}" for n in range(512) for side in "ab"]
    batch = host.root / "batch"
    batch.write_text("\n".join((*pairs, *ports[:-1])))
    host.run("ip", "-batch", str(batch))
    outcome = await host.realise(now)
    assert {failure.code for failure in outcome.failures} == {"SDD-NETNS-REFUSED"}
    assert all("1023 links" in failure.hint for failure in outcome.failures)


MARTIANS = "net.ipv4.conf.IFNAME.log_martians=1"


async def test_C79_sysctls_of_an_endpoint_stand_on_its_link_and_come_back(host: Host) -> None:
    client = box("client", host.sandbox_path("client"))
    options = {SYSCTLS: f"{MARTIANS},net.ipv6.conf.IFNAME.accept_ra=2"}
    one = end(FRONT, client, "10.70.0.2", "fd70::2", ifname="lan0", options=options)
    now = at(1, FRONT, client, one)
    await host.settle(now)
    martians, ra = (
        f"net.ipv{each}" for each in ("4.conf.lan0.log_martians", "6.conf.lan0.accept_ra")
    )
    assert host.inside("client", "sysctl", "-n", martians, ra).split() == ["1", "2"]
    host.inside("client", "sysctl", "-qw", f"{martians}=0")
    outcome = await host.settle(now)
    assert outcome.repaired == outcome.changed > 0
    assert host.inside("client", "sysctl", "-n", martians, ra).split() == ["1", "2"]
    assert (await host.settle(now)).changed == 0


async def test_C79_a_sysctl_that_the_kernel_has_not_is_refused(host: Host) -> None:
    client = box("client", host.sandbox_path("client"))
    options = {SYSCTLS: "net.ipv4.conf.IFNAME.nonsense=1"}
    one = end(FRONT, client, "10.70.0.2", options=options)
    outcome = await host.reconciler.realise(at(1, FRONT, client, one))
    (failure,) = outcome.failures
    assert (failure.subject, failure.code) == (one.id, "SDD-NETNS-REFUSED")
    assert "net.ipv4.conf.eth0.nonsense=1: No such file or directory" in failure.sentence


async def test_what_a_refused_endpoint_leaves_is_no_repair(host: Host) -> None:
    client = box("client", host.sandbox_path("client"))
    await host.settle(at(1, FRONT, client))
    options = {SYSCTLS: "net.ipv4.conf.IFNAME.nonsense=1"}
    refused = at(2, FRONT, client, end(FRONT, client, "10.70.0.2", options=options))
    passes = [await host.reconciler.realise(refused, NOWHERE) for _ in range(3)]
    passes += [await host.realise(at(3, FRONT, client)), await host.realise(at(3, FRONT, client))]
    assert [each.repaired for each in passes] == [0, 0, 0, 0, 0]
    assert "eth0" not in host.inside("client", "ip", "link")


async def test_peers_74_without_its_table_no_command_is_told_that_all_is_well(host: Host) -> None:
    """Somebody owns a table of our name: the kernel lets nobody else write it (nft(8), owner)."""
    command = ["nsenter", f"--net={host.path}", "nft", "-i"]
    with subprocess.Popen(  # noqa: ASYNC220 - it starts at once, and is ended here
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as owner:
        assert owner.stdin is not None
        owner.stdin.write(b"add table inet sdd { flags owner; }\n")
        owner.stdin.flush()
        eventually(lambda: "flags owner" in host.run("nft", "list", "ruleset"), 30, "it is owned")
        outcome = await host.reconciler.realise(one_client(host))
        (failure,) = [each for each in outcome.failures if each.subject == EVERYTHING]
        assert failure.sentence.startswith("the kernel refuses the table inet sdd: ")
        owner.stdin.close()
    assert (await host.settle(one_client(host))).failures == ()
    works(host)


async def test_a_port_of_an_adopted_bridge_with_stp_forwards_when_stp_lets_it(host: Host) -> None:
    host.run("ip", "link", "add", "lan0", "type", "bridge", "stp_state", "1")
    lan = net("lan", "10.71.0.0/24", options={"bridge.name": "lan0"})
    client = box("client", host.sandbox_path("client"))
    now = at(1, lan, client, end(lan, client, "10.71.0.2"))
    await host.settle(now)  # nothing is left to do
    port = f"veth{identity('lan client')[:7]}"
    assert "state forwarding" not in host.run("bridge", "link", "show", "dev", port)
    host.run("bridge", "link", "set", "dev", port, "learning", "off")
    outcome = await host.settle(now)
    assert outcome.repaired == outcome.changed > 0
    assert "stp_state 1" in host.run("ip", "-d", "link", "show", "lan0")


async def test_what_follows_from_another_failure_has_its_words_and_is_told_once(
    host: Host,
) -> None:
    red = net("red", "10.71.0.0/24", driver=Driver.MACVLAN, options={"parent": "up0.7"})
    boxes = [box(name, host.sandbox_path(name)) for name in ("a", "b", "taken")]
    ends = [end(red, each, f"10.71.0.{number}") for number, each in enumerate(boxes[:2], 2)]
    fine = end(FRONT, boxes[2], "10.70.0.2", ifname="eth1")
    (host.root / "var-run-netns").mkdir()
    (host.root / "var-run-netns" / "taken").touch()
    now = at(1, red, FRONT, *boxes, *ends, fine)
    for _ in range(2):
        outcome = await host.realise(now)
        told = {first.subject: count for first, count in told_once(outcome.failures)}
        assert told == {red.id: 3, boxes[2].id: 2}
        words = {each.subject: each.sentence for each in outcome.failures}
        assert words[ends[0].id] == words[red.id]
        assert words[red.id] == "the kernel refuses the link 'up0.7': there is no link 'up0'"
        assert words[fine.id] == words[boxes[2].id]

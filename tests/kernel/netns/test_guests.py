"""Adopted namespaces: ours come and go, theirs stay."""

from collections.abc import Sequence

import pytest

from netns import contract, desired, plan, steps
from sdd.model import absence, ids, network, sandbox
from tests import support
from tests.kernel.netns.conftest import Host, run_in
from tests.netns_states import NODE, at, box, end, net

pytestmark = pytest.mark.kernel

FRONT = net("front", "10.70.0.0/24")


async def guest(host: Host) -> sandbox.Sandbox:
    """A namespace with a link, an address and a default route of its own, adopted."""
    path = str(host.root / "t-netns-guest")
    inode = await host.doors.create(path)
    for command in (
        "ip link set lo down",
        "ip link add own0 type bridge",
        "ip addr add 192.0.2.1/24 dev own0",
        "ip link set own0 up",
        "ip route add default via 192.0.2.254",
    ):
        run_in(path, *command.split())
    return box("guest", path, inode=inode)


def theirs(of: sandbox.Sandbox) -> str:
    return "".join(
        run_in(of.netns, *command.split())
        for command in ("ip -br addr show own0", "ip route show dev own0", "ip -br link show own0")
    )


async def test_a_guest_gets_our_link_and_keeps_its_own_default_route(host: Host) -> None:
    adopted = await guest(host)
    before = theirs(adopted)
    await host.settle(at(1, FRONT, adopted, end(FRONT, adopted, "10.70.0.2")))
    assert theirs(adopted) == before
    assert "UP" in run_in(adopted.netns, "ip", "-br", "link", "show", "lo")
    host.run("ping", "-c1", "-w30", "10.70.0.2")
    assert "own0" in run_in(adopted.netns, "ip", "route", "show", "default")


async def test_a_router_keeps_its_many_routes_and_they_cost_next_to_nothing(host: Host) -> None:
    adopted = await guest(host)
    count = 5000
    batch = host.root / "many"
    batch.write_text(
        "".join(f"route add 10.{n >> 8}.{n & 255}.0/24 via 192.0.2.254\n" for n in range(count))
    )
    run_in(adopted.netns, "ip", "-batch", str(batch))
    before = theirs(adopted)
    now = at(1, FRONT, adopted, end(FRONT, adopted, "10.70.0.2"))
    await host.settle(now)
    host.run("ping", "-c1", "-w30", "10.70.0.2")

    async def seen() -> list[str]:
        scope = contract.Scope(paths=frozenset({adopted.netns}))
        routes = (await host.kernel.read(scope)).spaces[adopted.netns].routes
        return [str(each.destination) for each in routes if each.gateway]

    assert await seen() == ["0.0.0.0/0"]
    bent = ("10.70.0.0/24", "via", "192.0.2.254")
    run_in(adopted.netns, "ip", "route", "replace", *bent)
    assert sorted(await seen()) == ["0.0.0.0/0", "10.70.0.0/24"], "it is in the way of ours"
    run_in(adopted.netns, "ip", "route", "del", *bent)
    await host.settle(at(2, FRONT))
    assert theirs(adopted) == before


async def test_only_our_links_leave_with_the_sandbox(host: Host) -> None:
    adopted = await guest(host)
    before = theirs(adopted)
    await host.settle(at(1, FRONT, adopted, end(FRONT, adopted, "10.70.0.2")))
    await host.settle(at(2, FRONT))
    assert theirs(adopted) == before
    assert "eth0" not in run_in(adopted.netns, "ip", "link")
    assert not (host.root / "var-run-netns").exists()


async def test_a_guest_that_ended_is_said_once_and_the_others_work(host: Host) -> None:
    adopted, other = await guest(host), box("other", host.sandbox_path("other"))
    ends = end(FRONT, adopted, "10.70.0.2"), end(FRONT, other, "10.70.0.3")
    now = at(1, FRONT, adopted, other, *ends)
    await host.settle(now)
    await host.doors.delete(adopted.netns)
    (failure,) = (await host.realise(now)).failures
    assert failure == absence.of(adopted.id, adopted.name, adopted.netns, is_adopted=True)
    host.run("ping", "-c1", "-w30", "10.70.0.3")


async def test_another_namespace_at_the_same_path_is_not_ours_to_fill(host: Host) -> None:
    adopted = await guest(host)
    now = at(1, FRONT, adopted, end(FRONT, adopted, "10.70.0.2"))
    await host.settle(now)
    await host.doors.delete(adopted.netns)
    await host.doors.create(adopted.netns)
    (failure,) = (await host.realise(now)).failures
    assert failure.code == "SDD-NETNS-GONE"
    assert "eth0" not in run_in(adopted.netns, "ip", "link")


async def test_a_named_one_is_usable_by_ip_netns_and_a_taken_name_is_refused(host: Host) -> None:
    one, two = (box(name, host.sandbox_path(name)) for name in ("one", "two"))
    linked = host.root / "var-run-netns"
    linked.mkdir()
    (linked / "two").touch()
    outcome = await host.realise(at(1, FRONT, one, two))
    assert (linked / "one").readlink() == host.root / "exec" / "netns" / "one"
    assert [failure.subject for failure in outcome.failures] == [two.id]
    (failure,) = outcome.failures
    assert (failure.code, "the kernel" in failure.sentence) == ("SDD-NETNS-TAKEN", False)
    assert f"sdctl sandbox attach two --netns {linked}/two" in failure.hint
    await host.realise(at(2, FRONT))
    assert [path.name for path in linked.iterdir()] == ["two"]


async def test_sandboxes_of_other_nodes_are_not_made_here(host: Host) -> None:
    far = box("far", host.sandbox_path("far"), node=ids.NodeId("there"))
    await host.settle(at(1, FRONT, far, end(FRONT, far, "10.70.0.2")))
    assert not (host.root / "exec" / "netns").exists()


@pytest.mark.parametrize("driver", [network.Driver.BRIDGE, network.Driver.MACVLAN])
@pytest.mark.parametrize("is_there", [False, True], ids=["makes", "changes"])
async def test_a_namespace_that_takes_the_place_of_a_guest_during_a_pass_is_left_alone(
    host: Host, driver: network.Driver, is_there: bool
) -> None:
    lan = net("lan", "10.70.0.0/24", driver=driver)
    adopted, other = await guest(host), str(host.root / "t-netns-other")
    await host.doors.create(other)
    run_in(other, "ip", "link", "add", "eth0", "type", "bridge")
    now = at(1, lan, adopted, end(lan, adopted, "10.70.0.2"))
    if is_there:
        await host.settle(now)
        run_in(adopted.netns, "ip", "addr", "flush", "dev", "eth0")
    want = desired.desired(now, NODE)
    before = run_in(other, "ip", "-d", "addr")

    def decide(have: contract.Have) -> Sequence[steps.Step]:
        support.run("mount", "--bind", other, adopted.netns)
        return plan.diff(have, want)

    scope = contract.Scope(paths=frozenset({adopted.netns}))
    change = await host.kernel.change(scope, decide)
    assert change.plan
    assert any("took the place" in each.reason for each in change.refusals)
    assert run_in(other, "ip", "-d", "addr") == before
    support.run("umount", adopted.netns)
    await host.settle(now)

"""When it looks where, what it reports, on the kernel in memory."""

from collections.abc import Sequence
from dataclasses import replace

from netns import contract, fake, reconciler, steps, world
from sdd import state
from sdd.model import ids, network
from sdd.model.look import EVERYWHERE, HOST, NOWHERE, Look
from tests.netns_states import NODE, at, box, end, net

FRONT = net("front", "10.1.0.0/24")
ONE, TWO = (box(name, f"/run/sdd/netns/{name}") for name in ("one", "two"))
ON_ONE, ON_TWO = end(FRONT, ONE, "10.1.0.2"), end(FRONT, TWO, "10.1.0.3")


class Watched(fake.FakeKernel):
    """Remembers what it was asked and told."""

    def __init__(self) -> None:
        super().__init__()
        self.scopes: list[contract.Scope] = []
        self.plans: list[Sequence[steps.Step]] = []

    async def read(self, scope: contract.Scope) -> contract.Have:
        self.scopes.append(scope)
        return await super().read(scope)

    async def apply(self, plan: Sequence[steps.Step]) -> tuple[contract.Refusal, ...]:
        self.plans.append(plan)
        return await super().apply(plan)


def pair() -> tuple[Watched, reconciler.Reconciler]:
    kernel = Watched()
    return kernel, reconciler.Reconciler(kernel, NODE)


async def test_the_first_pass_looks_everywhere_and_so_does_whichever_is_told_to() -> None:
    kernel, one = pair()
    now = at(1, FRONT, ONE, ON_ONE)
    await one.realise(now, NOWHERE)
    outcome = await one.realise(now, EVERYWHERE)
    assert [scope.links for scope in kernel.scopes] == [None, None]
    assert (outcome.changed, outcome.failures) == (0, ())
    assert len(kernel.plans) == 1


async def test_a_new_revision_looks_for_new_namespaces_only() -> None:
    kernel, one = pair()
    await one.realise(at(1, FRONT, ONE, ON_ONE))
    outcome = await one.realise(at(2, FRONT, ONE, ON_ONE, TWO, ON_TWO), NOWHERE)
    scope = kernel.scopes[-1]
    assert (scope.paths, scope.links) == (frozenset({TWO.netns}), frozenset())
    assert outcome.failures == ()
    assert "eth0" in kernel.spaces[TWO.netns].links
    assert (await one.realise(at(2, FRONT, ONE, ON_ONE, TWO, ON_TWO))).changed == 0


async def test_a_look_at_one_namespace_reads_it_and_the_outer_ends_of_its_links() -> None:
    kernel, one = pair()
    now = at(1, FRONT, ONE, ON_ONE, TWO, ON_TWO)
    await one.realise(now)
    kernel.spaces[TWO.netns] = replace(kernel.spaces[TWO.netns], routes=set())
    outcome = await one.realise(now, Look(spaces=frozenset({TWO.netns})))
    assert outcome.repaired == outcome.changed == 5  # with those of loopback
    scope = kernel.scopes[-1]
    assert scope.paths == {TWO.netns}
    assert scope.links == frozenset({ON_TWO.host_link, FRONT.device})


async def test_a_look_at_a_link_of_the_host_reaches_its_other_end() -> None:
    kernel, one = pair()
    now = at(1, FRONT, ONE, ON_ONE, TWO, ON_TWO)
    await one.realise(now)
    kernel.remove_link(world.HOST, ON_TWO.host_link)
    assert (await one.realise(now, Look(links=frozenset({ON_ONE.host_link})))).changed == 0
    assert kernel.scopes[-1].paths == {ONE.netns}
    assert (await one.realise(now, Look(links=frozenset({ON_TWO.host_link})))).repaired > 0
    assert "eth0" in kernel.spaces[TWO.netns].links


async def test_what_stood_on_a_renamed_bridge_moves_to_the_new_one_in_the_same_call() -> None:
    kernel, one = pair()
    now = at(1, FRONT, ONE, ON_ONE, TWO, ON_TWO)
    await one.realise(now)
    links = kernel.spaces[world.HOST].links
    links["moved0"] = replace(links.pop(FRONT.device), name="moved0")
    for port in (ON_ONE.host_link, ON_TWO.host_link):
        links[port] = replace(links[port], master="moved0")
    outcome = await one.realise(now, Look(links=frozenset({FRONT.device, "moved0"})))
    assert outcome.repaired == outcome.changed > 0
    assert "moved0" not in links
    assert {links[each.host_link].master for each in (ON_ONE, ON_TWO)} == {FRONT.device}
    assert (await one.realise(now)).changed == 0


async def test_a_link_of_others_that_was_heard_of_is_left_alone() -> None:
    kernel, one = pair()
    now = at(1, FRONT, ONE, ON_ONE)
    await one.realise(now)
    kernel.spaces[world.HOST].links["br9"] = world.Link(name="br9", kind=world.Kind.BRIDGE)
    assert (await one.realise(now, Look(links=frozenset({"br9", "gone0"})))).changed == 0
    assert "br9" in kernel.spaces[world.HOST].links


async def test_a_route_of_a_bridge_comes_back_when_the_bridge_is_looked_at() -> None:
    kernel, one = pair()
    now = at(1, FRONT, ONE, ON_ONE)
    await one.realise(now)
    before, kernel.spaces[world.HOST].routes = kernel.spaces[world.HOST].routes, set()
    outcome = await one.realise(now, Look(links=frozenset({FRONT.device})))
    assert outcome.repaired == outcome.changed == 2  # to the subnet, and to its own address
    assert kernel.spaces[world.HOST].routes == before != set()


async def test_the_host_is_looked_at_without_its_links_when_only_its_table_may_differ() -> None:
    kernel, one = pair()
    now = at(1, FRONT, ONE, ON_ONE)
    await one.realise(now)
    kernel.table = None
    assert (await one.realise(now, Look(spaces=frozenset({HOST})))).repaired == 1
    assert (kernel.scopes[-1].paths, kernel.scopes[-1].links) == (frozenset(), frozenset())


async def test_what_leaves_goes_without_being_looked_into() -> None:
    kernel, one = pair()
    await one.realise(at(1, FRONT, ONE, ON_ONE, TWO, ON_TWO))
    await one.realise(at(2, FRONT, ONE, ON_ONE), NOWHERE)
    assert not kernel.scopes[-1].paths
    assert set(kernel.scopes[-1].leaving) == {TWO.netns}
    assert set(kernel.spaces) == {world.HOST, ONE.netns}
    assert ON_TWO.host_link not in kernel.spaces[world.HOST].links


async def test_a_disconnected_endpoint_goes_and_the_sandbox_stays() -> None:
    kernel, one = pair()
    await one.realise(at(1, FRONT, ONE, ON_ONE))
    await one.realise(at(2, FRONT, ONE))
    assert list(kernel.spaces[ONE.netns].links) == ["lo"]


async def test_a_change_by_hand_counts_as_repaired_and_a_new_wish_does_not() -> None:
    kernel, one = pair()
    now = at(1, FRONT, ONE, ON_ONE)
    first = await one.realise(now)
    assert (first.changed > 0, first.repaired) == (True, 0)
    kernel.remove_link(world.HOST, ON_ONE.host_link)
    again = await one.realise(now)
    assert again.repaired == again.changed > 0
    assert [each.sandbox for each in again.repairs] == [ONE.name]
    assert again.repairs[0].what.startswith("the pair ")
    kernel.table = None
    table = await one.realise(now)
    assert table.repaired == 1
    assert [(each.sandbox, each.what) for each in table.repairs] == [("", "the table inet sdd")]
    later = await one.realise(at(2, FRONT, ONE, ON_ONE, TWO, ON_TWO))
    assert (later.changed > 0, later.repaired, later.repairs) == (True, 0, ())


async def test_another_macvlan_endpoint_is_no_repair() -> None:
    wire = net("wire", "10.6.0.0/24", driver=network.Driver.MACVLAN)
    _, one = pair()
    await one.realise(at(1, wire, ONE, TWO, end(wire, ONE, "10.6.0.2")))
    both = (end(wire, ONE, "10.6.0.2"), end(wire, TWO, "10.6.0.3"))
    later = await one.realise(at(2, wire, ONE, TWO, *both), NOWHERE)
    assert (later.changed > 0, later.repaired) == (True, 0)


async def test_a_network_that_cannot_be_made_fails_its_endpoints_too_once_each() -> None:
    kernel, one = pair()
    foreign = world.Link(name=FRONT.device, kind=world.Kind.BRIDGE)
    kernel.spaces[world.HOST].links[FRONT.device] = foreign
    outcome = await one.realise(at(1, FRONT, ONE, ON_ONE))
    assert sorted(each.subject for each in outcome.failures) == sorted([FRONT.id, ON_ONE.id])
    assert {each.code for each in outcome.failures} == {"SDD-NETNS-TAKEN"}
    assert kernel.spaces[world.HOST].links[FRONT.device] == foreign
    assert set(kernel.spaces[world.HOST].links) == {"lo", FRONT.device}
    assert list(kernel.spaces[ONE.netns].links) == ["lo"]


async def test_a_named_bridge_is_adopted_and_left_behind_as_it_was() -> None:
    kernel, one = pair()
    theirs = net("theirs", "10.8.0.0/24", options={"bridge.name": "br0"})
    before = world.Link(name="br0", kind=world.Kind.BRIDGE, mac="02:77:77:77:77:77", mtu=1400)
    kernel.spaces[world.HOST].links["br0"] = before
    on = end(theirs, ONE, "10.8.0.2")
    now = at(1, theirs, ONE, on)
    assert (await one.realise(now)).failures == ()
    assert (await one.realise(now)).changed == 0
    assert kernel.spaces[world.HOST].links["br0"] == before
    assert kernel.spaces[world.HOST].links[on.host_link].master == "br0"
    assert {str(each.interface) for each in kernel.spaces[""].addresses} == {"10.8.0.1/24"}
    await one.realise(at(2))
    assert kernel.spaces[world.HOST].links == {"lo": kernel.spaces[""].links["lo"], "br0": before}
    assert kernel.spaces[world.HOST].addresses == set()


async def test_a_foreign_link_of_the_same_name_in_a_guest_is_not_touched() -> None:
    kernel, one = pair()
    path = "/run/other/guest"
    inode = kernel.adopt(path)
    own = world.Link(name="eth0", kind=world.Kind.OTHER, mac="02:77:77:77:77:77")
    kernel.spaces[path].links["eth0"] = own
    guest = box("guest", path, inode=inode)
    on = end(FRONT, guest, "10.1.0.9")
    outcome = await one.realise(at(1, FRONT, guest, on))
    assert [each.subject for each in outcome.failures] == [on.id]
    assert kernel.spaces[path].links["eth0"] == own
    assert {each.link for each in kernel.spaces[path].addresses} == {"lo"}


async def test_what_failed_is_tried_again_with_the_next_revision() -> None:
    kernel, one = pair()
    kernel.spaces[world.HOST].links[ON_ONE.host_link] = world.Link(
        name=ON_ONE.host_link, kind=world.Kind.OTHER
    )
    outcome = await one.realise(at(1, FRONT, ONE, ON_ONE))
    assert [failure.subject for failure in outcome.failures] == [ON_ONE.id]
    assert ON_ONE.host_link in outcome.failures[0].sentence
    kernel.spaces[world.HOST].links.pop(ON_ONE.host_link)
    later = await one.realise(at(2, FRONT, ONE, ON_ONE, TWO, ON_TWO))
    assert later.failures == ()
    assert "eth0" in kernel.spaces[ONE.netns].links


async def test_a_driver_that_is_not_built_is_a_failure_each_time() -> None:
    _, one = pair()
    far = replace(FRONT, driver=network.Driver.OVERLAY)
    for revision in (1, 2, 2):
        outcome = await one.realise(at(revision, far, ONE, ON_ONE))
        assert {failure.subject for failure in outcome.failures} == {far.id, ON_ONE.id}


async def test_an_adopted_namespace_that_comes_back_under_the_same_inode_is_served() -> None:
    kernel, one = pair()
    path = "/run/other/guest"
    inode = kernel.adopt(path)
    guest = box("guest", path, inode=inode)
    now = at(1, FRONT, guest, end(FRONT, guest, "10.1.0.9"))
    assert (await one.realise(now)).failures == ()
    kernel.remove_space(path)
    assert [each.subject for each in (await one.realise(now)).failures] == [guest.id]
    assert path in kernel.spaces or (await one.realise(at(2, FRONT))).failures == ()


BACK = net("back", "10.2.0.0/24")
ON_BACK = end(BACK, ONE, "10.2.0.2", ifname="eth1")


async def test_what_the_last_pass_left_is_changed_without_being_read() -> None:
    kernel, one = pair()
    await one.realise(at(1, FRONT, BACK, ONE, ON_ONE))
    await one.realise(at(2, FRONT, BACK, ONE, ON_ONE, ON_BACK), NOWHERE)
    assert (kernel.scopes[-1].paths, kernel.scopes[-1].links) == (frozenset(), frozenset())
    assert set(kernel.spaces[ONE.netns].links) == {"lo", "eth0", "eth1"}
    await one.realise(at(3, FRONT, BACK, ONE, ON_BACK), NOWHERE)
    assert (kernel.scopes[-1].paths, kernel.scopes[-1].links) == (frozenset(), frozenset())
    assert set(kernel.spaces[ONE.netns].links) == {"lo", "eth1"}
    assert (await one.realise(at(3, FRONT, BACK, ONE, ON_BACK))).changed == 0


async def test_what_was_remembered_wrongly_is_read_when_the_kernel_refuses() -> None:
    kernel, one = pair()
    await one.realise(at(1, FRONT, BACK, ONE, ON_ONE))
    kernel.remove_link(world.HOST, BACK.device)
    outcome = await one.realise(at(2, FRONT, BACK, ONE, ON_ONE, ON_BACK), NOWHERE)
    assert outcome.failures == ()
    assert BACK.device in kernel.spaces[world.HOST].links
    assert set(kernel.spaces[ONE.netns].links) == {"lo", "eth0", "eth1"}


async def test_a_namespace_that_went_meanwhile_is_made_again() -> None:
    kernel, one = pair()
    await one.realise(at(1, FRONT, BACK, ONE, ON_ONE))
    kernel.remove_space(ONE.netns)
    outcome = await one.realise(at(2, FRONT, BACK, ONE, ON_ONE, ON_BACK), NOWHERE)
    assert outcome.failures == ()
    assert set(kernel.spaces[ONE.netns].links) == {"lo", "eth0", "eth1"}
    assert (await one.realise(at(2, FRONT, BACK, ONE, ON_ONE, ON_BACK))).changed == 0


async def test_what_belongs_to_others_is_always_read() -> None:
    kernel, one = pair()
    guest = box("guest", "/proc/7/ns/net", inode=kernel.adopt("/proc/7/ns/net"))
    adopted = net("adopted", "10.3.0.0/24", options={"bridge.name": "lan"})
    on_front = end(FRONT, guest, "10.1.0.4")
    await one.realise(at(1, FRONT, adopted, guest, on_front))
    both = (on_front, end(adopted, guest, "10.3.0.2", ifname="eth1"))
    await one.realise(at(2, FRONT, adopted, guest, *both), NOWHERE)
    assert kernel.scopes[-1].paths == {guest.netns}
    assert kernel.scopes[-1].links is not None
    assert adopted.device in kernel.scopes[-1].links


MACVLAN = network.Driver.MACVLAN
TRUNK = world.Link(name="up0", kind=world.Kind.OTHER, mtu=1500)
RED = net("red", "10.4.0.0/24", driver=MACVLAN, options={"parent": "up0.7"})
LAN = net("lan", "10.5.0.0/24", driver=MACVLAN, options={"parent": "up0", "host-access": "true"})
HOST_LINK = f"ha-{ids.short(LAN.id)}"


async def on_a_trunk() -> tuple[Watched, reconciler.Reconciler, state.ClusterState]:
    """A sandbox on a VLAN, another one on its parent, and the host beside that one."""
    kernel, one = pair()
    kernel.spaces[world.HOST].links["up0"] = TRUNK
    now = at(1, RED, LAN, ONE, TWO, end(RED, ONE, "10.4.0.2"), end(LAN, TWO, "10.5.0.2"))
    assert (await one.realise(now)).failures == ()
    assert (await one.realise(now)).changed == 0
    return kernel, one, now


def mtus(kernel: Watched) -> list[int]:
    host = kernel.spaces[world.HOST].links
    inside = [kernel.spaces[box.netns].links["eth0"].mtu for box in (ONE, TWO)]
    return [host["up0.7"].mtu, host[HOST_LINK].mtu, *inside]


async def test_another_mtu_of_a_parent_reaches_all_that_stands_on_it_after_one_look_at_it() -> None:
    kernel, one, now = await on_a_trunk()
    for mtu in (1400, 1500, 9000):
        kernel.resize("up0", mtu)
        assert (await one.realise(now, Look(links=frozenset({"up0"})))).failures == ()
        assert mtus(kernel) == [mtu] * 4
        assert (await one.realise(now)).changed == 0


async def test_the_mtu_of_a_vlan_of_ours_comes_back_and_what_stands_on_it_follows() -> None:
    kernel, one, now = await on_a_trunk()
    kernel.resize("up0.7", 1300)
    outcome = await one.realise(now, Look(links=frozenset({"up0.7"})))
    assert outcome.repaired == outcome.changed == 2
    assert mtus(kernel) == [1500] * 4


async def test_what_stands_on_a_parent_is_not_read_while_its_mtu_stays() -> None:
    kernel, one, now = await on_a_trunk()
    kernel.scopes.clear()
    await one.realise(now, Look(links=frozenset({"up0"})))
    assert [(scope.paths, scope.links) for scope in kernel.scopes] == [
        (frozenset(), frozenset({"up0"}))
    ]


async def test_a_vlan_of_the_admin_keeps_its_mtu_and_what_stands_on_it_has_that() -> None:
    kernel, one = pair()
    links = kernel.spaces[world.HOST].links
    links["up0"] = TRUNK
    links["up0.7"] = theirs = world.Link(name="up0.7", kind=world.Kind.VLAN, mtu=1450)
    now = at(1, RED, ONE, end(RED, ONE, "10.4.0.2"))
    assert (await one.realise(now)).failures == ()
    assert (await one.realise(now)).changed == 0
    assert links["up0.7"] == theirs
    assert kernel.spaces[ONE.netns].links["eth0"].mtu == 1450


async def test_a_vlan_on_macsec_is_smaller_by_its_tag() -> None:
    kernel, one = pair()
    kernel.spaces[world.HOST].links["up0"] = replace(TRUNK, kind=world.Kind.MACSEC, mtu=1468)
    now = at(1, RED, ONE, end(RED, ONE, "10.4.0.2"))
    await one.realise(now)
    kernel.resize("up0.7", 1400)
    await one.realise(now)
    assert kernel.spaces[world.HOST].links["up0.7"].mtu == 1464
    assert kernel.spaces[ONE.netns].links["eth0"].mtu == 1464

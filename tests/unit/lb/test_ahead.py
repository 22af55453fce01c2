"""What is ready before the first sandbox joins a network, and what is not asked of a new one."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from ipaddress import ip_address

from lb import plan, table, world
from lb.derived import renewed
from lb.desired import Desired, desired, nothing
from lb.fake import FakeKernel
from lb.reconciler import Reconciler
from sdd.model import ids, service
from sdd.model.look import EVERYWHERE, NOWHERE
from sdd.model.network import IPAddress
from sdd.state import ClusterState, Gone, Object, Put
from tests.unit.lb import states

FRONT, BACK = ids.NetworkId("front"), ids.NetworkId("back")
WEB, API = ip_address("10.0.1.100"), ip_address("10.0.1.101")
FAR: tuple[Object, ...] = (
    states.net("front", 1),
    states.net("back", 2),
    states.box("far", node=states.ELSEWHERE),
    states.plug("far", "front", "10.0.1.1/24", node=states.ELSEWHERE),
    states.svc("web", "front", str(WEB)),
    states.svc("api", "front", str(API), number=2),
    states.member("web", "far", "front", node=states.ELSEWHERE),
)
NEW: tuple[Object, ...] = (states.box("new"), states.plug("new", "front", "10.0.1.9/24"))
HEAVIER = states.member("web", "far", "front", weight=7, node=states.ELSEWHERE)


def alone() -> ClusterState:
    """Nobody of this node is anywhere."""
    return states.state(*FAR)


def joined(revision: int = 2) -> ClusterState:
    return alone().apply(ids.Revision(revision), map(Put, NEW))


def first() -> Desired:
    return desired(alone(), nothing(states.NODE))


def test_whoever_joins_finds_the_services_of_the_network_derived() -> None:
    before = first()
    assert before.sandboxes == {}
    now = desired(joined(), before)
    assert now.sandboxes[ids.SandboxId("new")].table.services is before.networks[FRONT].services
    assert now.sandboxes == desired(joined(), nothing(states.NODE)).sandboxes


def test_a_change_where_nobody_is_yet_is_of_its_service_alone() -> None:
    before = first()
    later = alone().apply(ids.Revision(2), [Put(HEAVIER)])
    now = desired(later, before)
    was, found = before.networks[FRONT].services, now.networks[FRONT].services
    assert [each.weight for each in found[WEB].backends] == [7]
    assert found[API] is was[API]
    assert list(renewed(before, now)) == [found[WEB]]
    assert {each.vip for each in renewed(nothing(states.NODE), now)} == {WEB, API}
    assert list(renewed(now, now)) == []


def test_a_network_that_no_change_reaches_is_the_same_object() -> None:
    before = first()
    other = alone().apply(ids.Revision(2), [Put(states.svc("db", "back", "10.0.2.100", number=3))])
    now = desired(other, before)
    assert now.networks[FRONT] is before.networks[FRONT]
    assert now.networks[BACK].services.keys() == {ip_address("10.0.2.100")}
    gone = other.apply(ids.Revision(3), [Gone(service.Service, "db")])
    after = desired(gone, now).networks
    assert BACK not in after or not after[BACK].services


def test_what_cannot_be_made_is_told_where_somebody_would_use_it() -> None:
    odd = replace(states.svc("web", "front", str(WEB)), persistence_s="two")  # type: ignore[arg-type]  # none of ours wrote it
    unused = alone().apply(ids.Revision(2), [Put(odd)])
    before = desired(unused, nothing(states.NODE))
    assert before.failures == ()
    now = desired(unused.apply(ids.Revision(3), map(Put, NEW)), before)
    assert [each.subject for each in now.failures] == ["web"]
    assert now.sandboxes[ids.SandboxId("new")].table.services.keys() == {API}


# On a kernel


class Read(FakeKernel):
    """Counts what is read of it; takes no service that is there already."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.likely: Mapping[IPAddress, table.VirtualService] = {}

    async def read(
        self,
        place: table.Place,
        only: Collection[IPAddress] | None = None,
        likely: Mapping[IPAddress, table.VirtualService] = world.NOTHING_KNOWN,
    ) -> table.Table:
        self.reads += 1
        self.likely = likely
        return await super().read(place, only, likely)

    async def apply(
        self, place: table.Place, have: table.Table, steps: Collection[plan.Step]
    ) -> world.Change:
        there = self.tables[place.netns]
        if have.services.keys() == there.services.keys():
            return await super().apply(place, have, tuple(steps))
        refusals = tuple(world.Refusal(vip=vip, sentence="it exists") for vip in there.services)
        return world.Change(refusals=refusals, shown=there)


async def realised(kernel: FakeKernel, *, been: bool = False) -> Reconciler:
    """A first pass over nobody, then one in which `new` comes."""
    one = Reconciler(kernel, states.NODE, ready_s=0.1)
    await one.realise(joined(1) if been else alone(), EVERYWHERE)
    return one


async def test_what_may_be_needed_is_told_to_the_kernel_once() -> None:
    kernel = FakeKernel()
    one = await realised(kernel)
    assert {each.vip for each in kernel.foreseen} == {WEB, API}
    kernel.make("/ns/new")
    await one.realise(joined(), NOWHERE)
    assert len(kernel.foreseen) == 2
    heavier = joined().apply(ids.Revision(3), [Put(HEAVIER)])
    await one.realise(heavier, NOWHERE)
    assert [each.vip for each in kernel.foreseen[2:]] == [WEB]


async def test_a_namespace_that_was_just_made_is_not_read() -> None:
    kernel = Read()
    one = await realised(kernel)
    kernel.make("/ns/new")
    outcome = await one.realise(joined(), NOWHERE)
    assert (outcome.failures, outcome.changed, outcome.repaired) == ((), 2, 0)
    assert kernel.tables["/ns/new"].services.keys() == {WEB, API}
    assert kernel.reads == 0
    assert (await one.realise(joined(), EVERYWHERE)).repaired == 0


async def test_what_is_there_against_all_expectation_is_read_and_kept() -> None:
    kernel = Read()
    one = await realised(kernel)
    kernel.make("/ns/new")
    there = first().networks[FRONT].services[WEB]
    kernel.tables["/ns/new"] = table.Table(services={WEB: there})
    outcome = await one.realise(joined(), NOWHERE)
    assert (outcome.failures, outcome.repaired) == ((), 0)
    assert kernel.tables["/ns/new"].services.keys() == {WEB, API}
    assert kernel.reads == 1


async def test_an_adopted_namespace_is_read_and_so_is_one_where_we_were() -> None:
    kernel = Read()
    one = await realised(kernel)
    kernel.make("/ns/new")
    guest = replace(states.box("new"), netns_inode=1)
    adopted = joined().apply(ids.Revision(3), [Put(guest)])
    await one.realise(adopted, NOWHERE)
    assert kernel.reads == 1
    again = Read()
    other = await realised(again, been=True)
    again.make("/ns/new")
    await other.realise(joined(), NOWHERE)
    assert again.reads == 1


async def test_a_look_tells_the_kernel_what_is_likely_to_be_there() -> None:
    kernel = Read()
    one = await realised(kernel)
    kernel.make("/ns/new")
    await one.realise(joined(), NOWHERE)
    assert kernel.likely == {}
    await one.realise(joined(), EVERYWHERE)
    assert kernel.likely == first().networks[FRONT].services

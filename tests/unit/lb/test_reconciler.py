"""When the reconciler reads, what it changes and what it reports, on the kernel in memory."""

import asyncio
import math
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from lb import plan, table, world
from lb.fake import FakeKernel
from lb.reconciler import Reconciler
from sdd import errors
from sdd.model import absence, ids, progress
from sdd.model.look import NOWHERE, Look
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler
from sdd.state import ClusterState, Object
from tests.unit.lb import states

VIP = ip_address("10.0.1.100")
TOWN = (
    states.net("front", 1),
    states.box("client"),
    states.plug("client", "front", "10.0.1.9/24"),
    states.box("web1"),
    states.plug("web1", "front", "10.0.1.1/24"),
)
WEB = (states.svc("web", "front", str(VIP)), states.member("web", "web1", "front"))


class Bench:
    """A reconciler on a fake kernel in which every sandbox of TOWN exists."""

    def __init__(self, kernel: FakeKernel | None = None) -> None:
        self.kernel = kernel or FakeKernel()
        self.now = 0.0
        self.reconciler = Reconciler(self.kernel, states.NODE, ready_s=0.04, clock=lambda: self.now)
        for name in ("client", "web1"):
            self.kernel.make(f"/ns/{name}")

    def vips(self, name: str) -> set[object]:
        return set(self.kernel.tables[f"/ns/{name}"].services)


def at(revision: int, *values: Object) -> ClusterState:
    return states.state(*TOWN, *values, revision=revision)


async def test_a_service_appears_in_every_sandbox_of_its_network() -> None:
    bench = Bench()
    outcome = await bench.reconciler.realise(at(1, *WEB))
    assert (outcome.revision, outcome.failures, outcome.repaired) == (1, (), 0)
    assert outcome.changed == 2
    assert bench.vips("client") == bench.vips("web1") == {VIP}


async def test_a_second_look_at_a_good_kernel_changes_nothing() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    bench.kernel.applied.clear()
    outcome = await bench.reconciler.realise(at(1, *WEB))
    assert (outcome.changed, outcome.repaired, bench.kernel.applied) == (0, 0, [])


async def test_what_hands_removed_comes_back_and_is_counted() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    bench.kernel.tables["/ns/client"] = table.EMPTY
    outcome = await bench.reconciler.realise(at(1, *WEB))
    assert (outcome.changed, outcome.repaired) == (1, 1)
    assert bench.vips("client") == {VIP}
    assert outcome.repairs == (
        progress.Repair(sandbox="client", service="web", what="10.0.1.100 was gone"),
    )


async def test_a_repair_says_what_it_undid_and_a_new_wish_is_none() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    found = bench.kernel.tables["/ns/client"].services[VIP]
    meddled = replace(
        found,
        backends=(
            replace(found.backends[0], weight=7),
            table.Backend(address=ip_address("10.0.1.66")),
        ),
    )
    bench.kernel.tables["/ns/client"] = table.Table(
        services={VIP: meddled}, flaws=(table.Flaw(what="the table is dormant"),)
    )
    outcome = await bench.reconciler.realise(at(1, *WEB))
    assert {(each.service, each.what) for each in outcome.repairs} == {
        ("web", "backend 10.0.1.1 had weight 7 instead of 1, backend 10.0.1.66 is none"),
        ("", "the table is dormant"),
    }
    heavier = states.member("web", "web1", "front", weight=4)
    assert (await bench.reconciler.realise(at(2, WEB[0], heavier))).repairs == ()


async def test_slow_start_tells_one_weight_per_step_and_when_the_next_is_due() -> None:
    bench = Bench()
    slow = replace(WEB[0], slow_start_s=10.0)
    new = replace(states.member("web", "web2", "front"), created=100.0)
    town = at(1, slow, WEB[1], states.plug("web2", "front", "10.0.1.2/24"), new)
    bench.now = 100.0
    outcome = await bench.reconciler.realise(town)
    assert 1.9 < outcome.again_s < 2.1
    steps = []
    for passed in (1.0, 2.5, 5.0, 5.5, 10.0, 60.0):
        bench.kernel.applied.clear()
        bench.now = 100.0 + passed
        outcome = await bench.reconciler.realise(town, NOWHERE)
        assert (outcome.failures, outcome.repaired) == ((), 0)
        steps.append([each for netns, each in bench.kernel.applied if netns == "/ns/client"])
    moved = ip_address("10.0.1.2")
    assert steps == [
        [],
        [(plan.SetWeight(VIP, table.Backend(address=moved, weight=2)),)],
        [(plan.SetWeight(VIP, table.Backend(address=moved, weight=5)),)],
        [],
        [(plan.SetWeight(VIP, table.Backend(address=moved, weight=10)),)],
        [],
    ]
    assert outcome.again_s == math.inf


async def test_it_reads_again_only_where_it_shall_look() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    bench.kernel.tables["/ns/client"] = table.EMPTY
    elsewhere = Look(spaces=frozenset({"/ns/web1"}))
    for look in (NOWHERE, elsewhere):
        assert (await bench.reconciler.realise(at(2, *WEB), look)).changed == 0
    there = Look(spaces=frozenset({"/ns/client"}))
    assert (await bench.reconciler.realise(at(2, *WEB), there)).repaired == 1


async def test_one_changed_weight_is_one_step_per_sandbox() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    bench.kernel.applied.clear()
    heavier = states.member("web", "web1", "front", weight=5)
    await bench.reconciler.realise(at(2, WEB[0], heavier), NOWHERE)
    step = plan.SetWeight(VIP, table.Backend(address=ip_address("10.0.1.1"), weight=5))
    assert [steps for _, steps in bench.kernel.applied] == [(step,), (step,)]


async def test_who_is_withdrawn_is_so_first() -> None:
    more: list[Object] = [states.net("back", 2), states.svc("api", "back", "10.0.2.100")]
    for number, name in enumerate(("one", "two"), start=1):
        more += [states.box(name), states.plug(name, "back", f"10.0.2.{number}/24")]
    bench = Bench()
    for name in ("one", "two"):
        bench.kernel.make(f"/ns/{name}")
    second = (states.member("api", "one", "back"), states.member("api", "two", "back"))
    await bench.reconciler.realise(at(1, *more, *second, *WEB))
    bench.kernel.applied.clear()
    busier = replace(WEB[1], weight=3)  # what changes of `web` withdraws nobody
    new = (states.box("late"), states.plug("late", "front", "10.0.1.7/24"))
    bench.kernel.make("/ns/late")
    await bench.reconciler.realise(at(2, *new, *more, second[0], WEB[0], busier))
    assert [place.removeprefix("/ns/") for place, _ in bench.kernel.applied] == [
        *("one", "two"),  # whose `api` loses a member
        *("client", "web1"),
        "late",
    ]


async def test_a_namespace_that_is_not_made_yet_is_waited_for_then_a_failure() -> None:
    bench = Bench()
    bench.kernel.delete("/ns/client")
    outcome = await bench.reconciler.realise(at(1, *WEB))
    assert [failure.subject for failure in outcome.failures] == ["client"]
    assert "'client'" in outcome.failures[0].sentence
    bench.kernel.make("/ns/client")
    assert (await bench.reconciler.realise(at(1, *WEB))).failures == ()
    assert bench.vips("client") == {VIP}


async def test_a_namespace_that_was_there_is_not_awaited_when_it_is_gone() -> None:
    bench = Bench()
    bench.reconciler = Reconciler(bench.kernel, states.NODE, ready_s=60)
    await bench.reconciler.realise(at(1, *WEB))
    bench.kernel.delete("/ns/client")
    async with asyncio.timeout(10):  # newer states wait for this pass
        for revision in (1, 2):
            outcome = await bench.reconciler.realise(at(revision, *WEB))
            (failure,) = outcome.failures
            assert failure.subject == "client"
    bench.kernel.make("/ns/client")
    assert (await bench.reconciler.realise(at(3, *WEB))).failures == ()
    assert bench.vips("client") == {VIP}


async def test_a_namespace_made_anew_at_the_same_path_is_filled_at_the_next_look() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    bench.kernel.make("/ns/client")
    await bench.reconciler.realise(at(1, *WEB))
    assert bench.vips("client") == {VIP}


async def test_a_refused_service_is_the_subject_and_the_others_are_there() -> None:
    bench = Bench(FakeKernel(offers=(Scheduler.MH,)))
    odd = states.svc("odd", "front", "10.0.1.101", number=2, scheduler=Scheduler.SED)
    outcome = await bench.reconciler.realise(at(1, *WEB, odd))
    (failure,) = outcome.failures  # of all sandboxes: it is the service's fault, not theirs
    assert failure.subject == "odd"
    assert failure.sentence.startswith("service 'odd' cannot be balanced: the kernel has no")
    assert "sed" in failure.sentence
    assert bench.vips("client") == {VIP}


async def test_an_adopted_namespace_is_left_clean() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    without = [each for each in TOWN if getattr(each, "sandbox", each.id) != "client"]
    without = [each for each in without if each.id != "client"]
    outcome = await bench.reconciler.realise(states.state(*without, *WEB, revision=2))
    assert (outcome.changed, bench.vips("client")) == (1, set())
    assert bench.vips("web1") == {VIP}


class Hanging(FakeKernel):
    """Nobody can tell where the path of an adopted one leads."""

    async def inode(self, place: table.Place) -> int:
        if place.inode:
            raise errors.Unavailable("the look takes more than 2 s", code="SDD-NETNS-HANGS")
        return await super().inode(place)


async def test_a_path_that_hangs_is_its_own_sandbox_s_failure() -> None:
    bench = Bench(Hanging())
    guest = replace(states.box("client"), netns_inode=7)
    others = [each for each in TOWN if each.id != "client"]
    outcome = await bench.reconciler.realise(states.state(*others, guest, *WEB))
    assert [(each.subject, each.code) for each in outcome.failures] == [
        ("client", "SDD-NETNS-HANGS")
    ]
    assert bench.vips("web1") == {VIP}


async def test_a_stranger_at_an_adopted_path_gets_nothing_and_loses_nothing() -> None:
    bench = Bench()
    bench.reconciler = Reconciler(bench.kernel, states.NODE, ready_s=60)
    inode = await bench.kernel.inode(table.Place(netns="/ns/client"))
    guest = replace(states.box("client"), netns_inode=inode)
    others = [each for each in TOWN if each.id != "client"]
    await bench.reconciler.realise(states.state(*others, guest, *WEB, revision=1))
    assert bench.vips("client") == {VIP}
    bench.kernel.make("/ns/client")  # its number was given to another process
    theirs = bench.kernel.tables["/ns/client"] = bench.kernel.tables["/ns/web1"]
    async with asyncio.timeout(10):
        outcome = await bench.reconciler.realise(states.state(*others, guest, *WEB, revision=2))
    assert outcome.failures == (absence.of("client", "client", "/ns/client", is_adopted=True),)
    gone = [each for each in others if getattr(each, "sandbox", each.id) != "client"]
    outcome = await bench.reconciler.realise(states.state(*gone, *WEB, revision=3))
    assert (outcome.failures, outcome.changed) == ((), 0)
    assert bench.kernel.tables["/ns/client"] is theirs


async def test_what_netns_failed_to_make_is_not_awaited() -> None:
    bench = Bench()
    del bench.kernel.tables["/ns/client"]
    asked: list[str] = []

    def is_vain(box: str) -> bool:
        asked.append(box)
        return len(asked) > 1

    one = Reconciler(bench.kernel, states.NODE, ready_s=60, is_vain=is_vain)
    async with asyncio.timeout(10):
        outcome = await one.realise(at(1, *WEB))
    (failure,) = outcome.failures
    assert failure.subject == "client"
    assert asked == ["client", "client"]


async def test_a_sandbox_that_took_the_name_over_keeps_its_table() -> None:
    bench = Bench()
    await bench.reconciler.realise(at(1, *WEB))
    heir = replace(states.box("heir"), netns="/ns/client")
    others = [each for each in TOWN if not each.id.startswith("client")]
    plug = states.plug("heir", "front", "10.0.1.9/24")
    await bench.reconciler.realise(states.state(*others, heir, plug, *WEB, revision=2))
    assert bench.vips("client") == {VIP}


class Broken(FakeKernel):
    """Raises what nobody foresaw, in one namespace."""

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        if place.netns == "/ns/client":
            raise struct.error("'I' format requires 0 <= number <= 4294967295")
        return await super().apply(place, have, steps)


async def test_what_nobody_foresaw_in_one_sandbox_is_its_own_failure() -> None:
    bench = Bench(Broken())
    outcome = await bench.reconciler.realise(at(1, *WEB))
    (failure,) = outcome.failures
    assert (failure.subject, failure.code) == ("client", "SDD-OBJECT-DATA")
    assert "sandbox 'client' does not balance" in failure.sentence
    assert (bench.vips("client"), bench.vips("web1")) == (set(), {VIP})


class Forgetful(FakeKernel):
    """Takes every change and keeps none."""

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        await super().apply(place, have, ())
        vips = [vip for vip in plan.touched(steps) if vip is not None]
        return world.Change(shown=await self.read(place, vips))


async def test_a_change_the_kernel_does_not_show_is_a_failure() -> None:
    outcome = await Bench(Forgetful()).reconciler.realise(at(1, *WEB))
    assert {failure.code for failure in outcome.failures} == {"SDD-LB-UNSEEN"}
    assert {failure.subject for failure in outcome.failures} == {ids.ServiceId("web")}


class Picky(FakeKernel):
    """As nftables: refuses what does not start from what is there; with `stubborn` whatever."""

    stubborn = False
    reads = 0

    async def read(
        self,
        place: table.Place,
        only: Collection[IPAddress] | None = None,
        likely: Mapping[IPAddress, table.VirtualService] = world.NOTHING_KNOWN,
    ) -> table.Table:
        self.reads += 1
        return await super().read(place, only, likely)

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        there = self.tables[place.netns]
        if have.services == there.services and not self.stubborn:
            return await super().apply(place, have, steps)
        vips = [vip for vip in plan.touched(steps) if vip is not None]
        refusals = tuple(world.Refusal(vip=vip, sentence="no such thing") for vip in vips)
        return world.Change(refusals=refusals, shown=table.narrowed(there, vips))


OTHER = ip_address("10.0.1.101")


async def test_what_hands_did_before_the_next_look_fails_no_command() -> None:
    kernel = Picky()
    bench = Bench(kernel)
    other = states.svc("other", "front", str(OTHER), number=2)
    await bench.reconciler.realise(at(1, *WEB, other))
    kernel.tables["/ns/client"] = table.narrowed(kernel.tables["/ns/client"], [VIP])
    heavier = states.member("web", "web1", "front", weight=4)
    outcome = await bench.reconciler.realise(at(2, WEB[0], heavier, other), NOWHERE)
    assert outcome.failures == ()
    assert kernel.tables["/ns/client"].services[VIP].backends[0].weight == 4
    assert bench.vips("client") == {VIP, OTHER}
    assert outcome.repaired == 1
    assert outcome.repairs == (
        progress.Repair(sandbox="client", service="other", what="10.0.1.101 was gone"),
    )


async def test_what_is_refused_from_what_was_read_is_not_tried_twice() -> None:
    kernel = Picky()
    bench = Bench(kernel)
    await bench.reconciler.realise(at(1, *WEB))
    kernel.stubborn, kernel.reads = True, 0
    heavier = states.member("web", "web1", "front", weight=4)
    outcome = await bench.reconciler.realise(at(2, WEB[0], heavier), NOWHERE)
    assert {failure.subject for failure in outcome.failures} == {"web"}
    assert kernel.reads == 2  # once in each sandbox
    assert outcome.failures[0].sentence == (
        "sandbox 'client' does not balance service 'web' at 10.0.1.100: no such thing"
    )

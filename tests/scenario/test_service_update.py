"""A service that is changed while it lives: what stays, what is refused, what is taken back."""

from types import MappingProxyType

import pytest

from sdd import errors
from sdd.model import health, request
from sdd.model.progress import Backend, Failure
from sdd.model.service import CheckKind, EndpointMode, HealthCheck, Scheduler, Service
from sdd.state import ClusterState
from tests.scenario.node import Node, node
from tests.scenario.test_drain import served

Change = request.ServiceUpdate
Check = request.HealthChange


def only(one: Node) -> Service:
    (found,) = one.state.services.values()
    return found


async def test_what_is_given_changes_and_all_else_stays() -> None:
    async with node() as one:
        member = await served(one, aliases=("www", "old"), labels={"a": "1", "b": "2"}, drain_s=7.0)
        before = only(one)
        asked = Change(
            scheduler=Scheduler.WRR,
            alias_add=("new",),
            alias_remove=("old",),
            label_add=MappingProxyType({"c": "3"}),
            label_remove=("a",),
            persistence_s=60,
            weight=4,
        )
        after = await one.commands.update_service("web", asked)
        assert after == only(one)
        assert (after.scheduler, after.aliases) == (Scheduler.WRR, ("www", "new"))
        assert (after.labels, after.persistence_s) == ({"b": "2", "c": "3"}, 60)
        same = ("id", "name", "vips", "number", "mode", "health", "drain_s", "created")
        assert [getattr(after, each) for each in same] == [getattr(before, each) for each in same]
        assert list(one.state.members.values()) == [member]


async def test_a_member_that_joins_without_a_weight_gets_the_services() -> None:
    async with node() as one:
        await served(one)
        await one.commands.update_service("web", Change(weight=9))
        plug = request.Attachment(network="front")
        for name, services in (("w2", ()), ("w3", ("web",))):
            asked = request.SandboxCreate(name=name, attachments=(plug,), services=services)
            await one.commands.create_sandbox(asked)
        await one.commands.join("web", request.Join(sandbox="w2"))
        names = {box.id: box.name for box in one.state.sandboxes.values()}
        weights = {names[each.sandbox]: each.weight for each in one.state.members.values()}
        assert weights == {"w1": 3, "w2": 9, "w3": 9}


async def test_a_first_check_takes_nobody_away_until_it_fails() -> None:
    async with node() as one:
        joined = await served(one)
        asked = Change(health=Check(kind=CheckKind.TCP, port=80, fall=5))
        after = await one.commands.update_service("web", asked)
        assert after.health == HealthCheck(kind=CheckKind.TCP, port=80, fall=5)
        (member,) = one.state.healthy(joined.service)
        assert member == joined
        down = health.Status.DOWN
        await one.commands.record_verdict(
            joined.service, joined.endpoint, health.Said(down, "refused")
        )
        assert not one.state.healthy(joined.service)


async def test_a_first_check_lets_nobody_start_slowly_again() -> None:
    async with node() as one:
        joined = await served(one, slow_start_s=3600.0)
        assert one.state.up_since(joined) == joined.created
        await one.commands.update_service("web", Change(health=Check(kind=CheckKind.TCP, port=80)))
        (member,) = one.state.members.values()
        assert one.state.up_since(member) == joined.created


async def test_another_check_keeps_what_the_one_before_found() -> None:
    async with node() as one:
        joined = await served(one, health=HealthCheck(kind=CheckKind.TCP, port=80, rise=1))
        down = health.Status.DOWN
        await one.commands.record_verdict(
            joined.service, joined.endpoint, health.Said(down, "refused")
        )
        http = Change(health=Check(kind=CheckKind.HTTP, port=81, path="/ok"))
        after = await one.commands.update_service("web", http)
        assert after.health == HealthCheck(kind=CheckKind.HTTP, port=81, path="/ok", rise=1)
        assert not one.state.healthy(joined.service)
        await one.commands.update_service("web", Change(health=Check(kind=CheckKind.NONE)))
        assert one.state.healthy(joined.service)
        assert not one.state.verdicts


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Change(weight=70000), "SDD-MEMBER-WEIGHT"),
        (Change(drain_s=-1.0), "SDD-SERVICE-TIME"),
        (Change(slow_start_s=30.0, scheduler=Scheduler.LC), "SDD-SERVICE-SLOWSTART"),
        (Change(slow_start_s=1e6), "SDD-SERVICE-SLOWSTART"),
        (Change(health=Check(kind=CheckKind.TCP)), "SDD-SERVICE-HEALTH"),
        (Change(health=Check(interval_s=0.0)), "SDD-SERVICE-HEALTH"),
        (Change(health=Check(interval_s=3.0)), "SDD-SERVICE-HEALTH"),
        (Change(health=Check(kind=CheckKind.TCP, port=80, send="x")), "SDD-SERVICE-HEALTH"),
        (Change(alias_add=("a b",)), "SDD-NAME-HOST"),
        (Change(alias_remove=("none",)), "SDD-SERVICE-ALIAS"),
        (Change(label_remove=("none",)), "SDD-SERVICE-LABEL"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_changes(asked: Change, code: str) -> None:
    async with node() as one:
        await served(one)
        before = await one.keys()
        with pytest.raises(errors.SddError) as caught:
            await one.commands.update_service("web", asked)
        assert caught.value.code == code
        assert await one.keys() == before


async def test_names_alone_have_no_scheduler_but_their_published_ports_have() -> None:
    async with node() as one:
        await served(one, mode=EndpointMode.DNSRR)
        with pytest.raises(errors.Invalid) as caught:
            await one.commands.update_service("web", Change(scheduler=Scheduler.RR))
        assert caught.value.code == "SDD-SERVICE-IDLE"
        port = (request.Publish(published=8080, target=80),)
        asked = Change(scheduler=Scheduler.RR, persistence_s=60, publish_add=port)
        assert (await one.commands.update_service("web", asked)).scheduler is Scheduler.RR


async def test_what_a_check_of_another_kind_had_is_no_fault_of_the_next() -> None:
    async with node() as one:
        http = HealthCheck(kind=CheckKind.HTTP, port=80, path="/", status_high=200, interval_s=5.0)
        await served(one, health=http)
        for kind in (CheckKind.TCP, CheckKind.NONE):
            await one.commands.update_service("web", Change(health=Check(kind=kind, port=80)))
        assert only(one).health.kind is CheckKind.NONE


async def test_a_scheduler_the_kernel_lacks_is_refused_and_taken_back() -> None:
    def refuse(state: ClusterState) -> tuple[Failure, ...]:
        return tuple(
            Failure(subject=each.id, sentence="the kernel has no scheduler 'sed'", code="SDD-X")
            for each in state.services.values()
            if each.scheduler is Scheduler.SED
        )

    async with node() as one:
        await served(one)
        before = only(one)
        one.refuse(Backend.LB, refuse)
        asked = Change(scheduler=Scheduler.SED, health=Check(kind=CheckKind.TCP, port=80))
        with pytest.raises(errors.KernelRefused, match="no scheduler"):
            await one.commands.update_service("web", asked)
        assert only(one) == before
        assert not one.state.verdicts


async def test_a_service_grows_no_further_than_the_bounds_by_many_updates() -> None:
    async with node() as one:
        await served(one)
        for start in (0, 60):
            names = {f"k{start + n}": "" for n in range(60)}
            await one.commands.update_service("web", Change(label_add=names))
        before = only(one)
        for asked in (
            Change(label_add={f"l{n}": "" for n in range(60)}),
            Change(alias_add=tuple(f"a{n}" for n in range(65))),
        ):
            with pytest.raises(errors.Invalid) as caught:
                await one.commands.update_service("web", asked)
            assert caught.value.code == "SDD-BOUND"
            assert caught.value.sentence.startswith("service web: ")
        assert only(one) == before

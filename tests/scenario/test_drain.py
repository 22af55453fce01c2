"""Leaving a service with patience: what is stored at each moment, and what the caller hears."""

import asyncio

import pytest

from sdd import errors
from sdd.model import ids, port, request
from sdd.model.health import Said, Status
from sdd.model.service import CheckKind, EndpointMode, HealthCheck, Member
from tests.scenario.node import Node, node


async def served(one: Node, **service: object) -> Member:
    """A service `web` with the one member `w1`."""
    await one.commands.create_network(request.NetworkCreate(name="front"))
    attachment = request.Attachment(network="front")
    await one.commands.create_sandbox(request.SandboxCreate(name="w1", attachments=(attachment,)))
    await one.commands.create_service(
        request.ServiceCreate(name="web", network="front", **service)  # type: ignore[arg-type]  # the test's own fields
    )
    return await one.commands.join("web", request.Join(sandbox="w1", weight=3))


async def draining(one: Node) -> Member:
    async with asyncio.timeout(60):
        while True:
            for member in one.state.members.values():
                if member.drains_until:
                    return member
            await one.feed.moved()


async def test_leaving_with_patience_returns_when_somebody_says_drained() -> None:
    async with node() as one:
        joined = await served(one, drain_s=30.0)
        async with asyncio.TaskGroup() as group:
            leave = group.create_task(one.commands.leave("web", "w1", None), name="leave")
            member = await draining(one)
            assert (member.drains_until, member.share, member.weight) == (one.clock.now + 30, 0, 3)
            assert not leave.done()
            await one.commands.drained(member.service, member.endpoint)
        assert leave.result().endpoint == joined.endpoint
        assert not one.state.members


PORT = request.Publish(published=8080, target=80, mode=port.Mode.HOST)
DATAGRAMS = request.Publish(
    published=5300, target=53, mode=port.Mode.HOST, protocol=port.Protocol.UDP
)


async def test_who_is_reached_by_ports_of_the_host_alone_drains_too() -> None:
    async with node() as one:
        await served(one, drain_s=30.0, mode=EndpointMode.DNSRR, publish=(PORT,))
        async with asyncio.TaskGroup() as group:
            leave = group.create_task(one.commands.leave("web", "w1", None), name="leave")
            member = await draining(one)
            assert not leave.done()
            await one.commands.drained(member.service, member.endpoint)
        assert not one.state.members


async def test_a_new_weight_keeps_a_member_that_was_leaving() -> None:
    async with node() as one:
        await served(one)
        async with asyncio.TaskGroup() as group:
            leave = group.create_task(refused(one), name="leave")
            member = await draining(one)
            await one.commands.set_weight("web", "w1", 5)
        assert leave.result() == "SDD-MEMBER-KEPT"
        await one.commands.drained(member.service, member.endpoint)
        (stays,) = one.state.members.values()
        assert (stays.weight, stays.drains_until) == (5, 0.0)


async def test_who_joins_again_meanwhile_is_another_member() -> None:
    async with node() as one:
        await served(one)
        async with asyncio.TaskGroup() as group:
            leave = group.create_task(one.commands.leave("web", "w1", 60.0), name="leave")
            member = await draining(one)
            one.clock.now += 5
            ending = one.commands.drained(member.service, member.endpoint)
            again = one.commands.join("web", request.Join(sandbox="w1"))
            await asyncio.gather(ending, again)
        assert leave.result() == member
        (now,) = one.state.members.values()
        assert now.created > member.created


async def test_a_second_leave_shortens_the_first() -> None:
    async with node() as one:
        await served(one)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(one.commands.leave("web", "w1", 60.0), name="first")
            await draining(one)
            second = group.create_task(one.commands.leave("web", "w1", 2.0), name="second")
            async with asyncio.timeout(60):
                while (member := await draining(one)).drains_until != one.clock.now + 2:
                    await one.feed.moved()
            assert not first.done()
            await one.commands.drained(member.service, member.endpoint)
        assert first.result().endpoint == second.result().endpoint
        assert not one.state.members


async def refused(one: Node) -> str:
    with pytest.raises(errors.Conflict) as caught:
        await one.commands.leave("web", "w1", 60.0)
    return caught.value.code


@pytest.mark.parametrize(
    "service",
    [
        {"drain_s": 0.0},
        {"mode": EndpointMode.DNSRR},
        {"mode": EndpointMode.DNSRR, "publish": (DATAGRAMS,)},
        {"health": HealthCheck(kind=CheckKind.TCP, port=80)},
    ],
    ids=["no patience", "not balanced by the kernel", "datagrams alone", "never healthy"],
)
async def test_what_has_nothing_to_wait_for_leaves_at_once(service: dict[str, object]) -> None:
    async with node() as one:
        await served(one, **service)
        await one.commands.leave("web", "w1", None)
        assert not one.state.members


async def test_a_member_that_died_leaves_at_once_and_takes_its_verdict_along() -> None:
    async with node() as one:
        joined = await served(one, health=HealthCheck(kind=CheckKind.TCP, port=80))
        for status in (Status.UP, Status.DOWN):
            await one.commands.record_verdict(joined.service, joined.endpoint, Said(status, ""))
        await one.commands.leave("web", "w1", 600.0)
        assert not one.state.members
        assert not one.state.verdicts


async def test_patience_has_bounds_and_an_end() -> None:
    async with node() as one:
        await served(one)
        one.commands._timeout_s = 0.05  # beyond its patience; all else has its time
        with pytest.raises(errors.Invalid, match="-1"):
            await one.commands.leave("web", "w1", -1.0)
        with pytest.raises(errors.TimedOut, match="draining"):
            await one.commands.leave("web", "w1", 0.01)
        (member,) = one.state.members.values()
        assert member.drains_until


async def test_drained_of_what_is_gone_is_nothing() -> None:
    async with node() as one:
        await one.commands.drained(ids.ServiceId("a"), ids.EndpointId("b"))
        assert not one.state.members

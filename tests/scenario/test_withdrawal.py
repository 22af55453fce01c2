"""What a member is reached by goes only when nothing new goes to the member any more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sdd import errors
from sdd.control.runner import GONE
from sdd.model import request
from sdd.model.health import Said, Status
from sdd.model.look import Look
from sdd.model.progress import Backend, Failure, Outcome
from sdd.model.service import CheckKind, EndpointMode, HealthCheck
from sdd.state import ClusterState
from tests.scenario.node import Node, node
from tests.support import eventually_async

Removal = Callable[[Node], Awaitable[object]]
INGRESS = (request.Publish(target=80, published=8080),)
REMOVALS: dict[str, Removal] = {
    "sandbox rm": lambda one: one.commands.remove_sandbox("w1"),
    "network disconnect": lambda one: one.commands.disconnect("front", "w1"),
    "service leave": lambda one: one.commands.leave("web", "w1", 0.0),
}


async def served(one: Node, front: request.NetworkCreate | None = None, **service: object) -> None:
    """A service `web` with the members `w1` and `w2`."""
    await one.commands.create_network(front or request.NetworkCreate(name="front"))
    asked = request.ServiceCreate(name="web", network="front", **service)  # type: ignore[arg-type]  # the test's own fields
    await one.commands.create_service(asked)
    for name in ("w1", "w2"):
        attachment = request.Attachment(network="front")
        made = request.SandboxCreate(name=name, attachments=(attachment,), services=("web",))
        await one.commands.create_sandbox(made)


class Watch:
    """Sees each state that netns works on, and how far the balancer is by then."""

    def __init__(self, one: Node) -> None:
        self._one = one
        self._all = len(one.state.endpoints)
        self.rested_at: int | None = None  # the revision since which `w1` gets nothing new
        self.cut_early = False
        self.is_cut = False
        one.refuse(Backend.NETNS, self._see)

    def _see(self, state: ClusterState) -> tuple[Failure, ...]:
        chosen = [
            each.share
            for svc in state.services.values()
            for each in state.serving(svc).members
            if state.sandboxes[each.sandbox].name == "w1"
        ]
        if self.rested_at is None and not any(chosen):
            self.rested_at = state.revision
        if len(state.endpoints) < self._all and not self.is_cut:
            self.is_cut = True
            realised = self._one.progress.snapshot()[Backend.LB].revision
            self.cut_early = self.rested_at is None or realised < self.rested_at
        return ()


@pytest.mark.parametrize("what", list(REMOVALS))
@pytest.mark.parametrize("publish", [(), INGRESS], ids=["inside", "published"])
async def test_what_the_kernel_refuses_of_a_removal_is_removed_all_the_same(
    what: str, publish: tuple[request.Publish, ...]
) -> None:
    async with node() as one:
        await served(one, publish=publish)
        (box,) = (each for each in one.state.sandboxes.values() if each.name == "w1")
        those = (box.id, *(each.id for each in one.state.endpoints_by_sandbox[box.id]))
        refused = tuple(Failure(subject=each, sentence="no", code="SDD-X") for each in those)
        one.refuse(Backend.LB, lambda state: refused if len(state.members) == 1 else ())
        with pytest.raises(errors.KernelRefused, match="no") as caught:
            await REMOVALS[what](one)
        assert caught.value.hint == GONE
        assert len(one.state.members) == 1


@pytest.mark.parametrize("what", list(REMOVALS))
async def test_the_cable_goes_after_the_balancer_left_it_out(what: str) -> None:
    async with node() as one:
        await served(one, publish=INGRESS)
        watch = Watch(one)
        await REMOVALS[what](one)
        assert watch.is_cut
        assert not watch.cut_early
        assert {one.state.sandboxes[each.sandbox].name for each in one.state.members.values()} == {
            "w2"
        }


async def test_a_member_by_name_alone_is_withdrawn_as_well() -> None:
    async with node() as one:
        await served(one, mode=EndpointMode.DNSRR)
        watch = Watch(one)
        await one.commands.remove_sandbox("w1")
        assert (watch.is_cut, watch.cut_early) == (True, False)


async def test_whom_nobody_chooses_goes_in_one_step() -> None:
    async with node() as one:
        await served(one, health=HealthCheck(kind=CheckKind.TCP, port=80))
        for member in tuple(one.state.members.values()):
            said = Said(Status.DOWN, "")
            await one.commands.record_verdict(member.service, member.endpoint, said)
        before = one.state.revision
        await one.commands.remove_sandbox("w1")
        assert one.state.revision == before + 1


async def test_a_backup_that_serves_ipv6_alone_is_withdrawn_before_it_goes() -> None:
    async with node() as one:
        asked = request.NetworkCreate(name="front", ipv6=True)
        await served(one, health=HealthCheck(kind=CheckKind.TCP, port=80), front=asked)
        await one.commands.leave("web", "w2", 0.0)
        await one.commands.join("web", request.Join(sandbox="w2", backup=True))
        for member in tuple(one.state.members.values()):
            said = Said(Status.UP, "", () if member.backup else (6,))
            await one.commands.record_verdict(member.service, member.endpoint, said)
        before = one.state.revision
        await one.commands.remove_sandbox("w2")
        assert one.state.revision == before + 2


async def test_a_leave_that_was_overtaken_by_the_end_of_the_drain_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with node() as one:
        await served(one, publish=INGRESS)
        runner = one.commands._run
        prepared = runner.prepared

        async def and_ended(make: Any, patience_s: float) -> Any:
            found = await prepared(make, patience_s)
            for each in found or ():
                await one.commands.drained(each.service, each.endpoint)
            return found

        monkeypatch.setattr(runner, "prepared", and_ended)
        gone = await one.commands.leave("web", "w1", 0.0)
        assert one.state.sandboxes[gone.sandbox].name == "w1"
        assert {one.state.sandboxes[each.sandbox].name for each in one.state.members.values()} == {
            "w2"
        }


async def test_a_balancer_that_never_answers_keeps_nothing_from_going(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sdd.control.members.WITHDRAWN_S", 0.05)
    async with node() as one, asyncio.TaskGroup() as group:
        await served(one)
        stuck = asyncio.Event()
        realise = one.backends[Backend.LB].realise

        async def wait(state: ClusterState, look: Look) -> Outcome:
            await stuck.wait()
            return await realise(state, look)

        monkeypatch.setattr(one.backends[Backend.LB], "realise", wait)
        going = group.create_task(one.commands.remove_sandbox("w1"), name="going")

        def is_gone() -> bool:
            return [each.name for each in one.state.sandboxes.values()] == ["w2"]

        await eventually_async(is_gone, 60, "the sandbox is gone without the balancer")
        assert not going.done()  # the command waits until its node is there
        stuck.set()

"""A removal that is cut off after its first step is completed by the next daemon, or by this one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from sdd import errors, reconcile
from sdd.control.departures import Departures
from sdd.model import request
from sdd.model.progress import Backend, Outcome
from sdd.store.memory import MemoryStore
from tests import support
from tests.scenario.node import NODE, Node, node

CUT: dict[str, Callable[[Node], Awaitable[object]]] = {
    "sandbox rm": lambda one: one.commands.remove_sandbox("w1"),
    "network disconnect": lambda one: one.commands.disconnect("front", "w1"),
    "another's rm": lambda one: one.commands.remove_sandbox("w2"),
}
REMOVALS = ("sandbox rm", "network disconnect")


async def served(one: Node) -> None:
    """A service `web` with the members `w1` and `w2`."""
    await one.commands.create_network(request.NetworkCreate(name="front"))
    await one.commands.create_service(request.ServiceCreate(name="web", network="front"))
    for name in ("w1", "w2"):
        attachment = request.Attachment(network="front")
        made = request.SandboxCreate(name=name, attachments=(attachment,), services=("web",))
        await one.commands.create_sandbox(made)


async def cut_off(one: Node, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if sdd were killed while it waits until nothing new goes to `w1`."""
    stuck = asyncio.Event()
    realise = one.backends[Backend.LB].realise

    async def wait(*given: Any) -> Outcome:
        await stuck.wait()
        return await realise(*given)

    monkeypatch.setattr(one.backends[Backend.LB], "realise", wait)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_cut(one, what), name="cut")
        begun = len(one.state.departing)
        await support.eventually_async(
            lambda: len(one.state.departing) > begun, 60, "its first revision"
        )
        task.cancel()
    monkeypatch.setattr(one.backends[Backend.LB], "realise", realise)
    stuck.set()


async def _cut(one: Node, what: str) -> None:
    await CUT[what](one)


@contextlib.asynccontextmanager
async def completing(one: Node) -> AsyncIterator[None]:
    slot = reconcile.Slot()
    one.feed.subscribe(slot.put)
    async with asyncio.TaskGroup() as group:
        left = Departures(one.commands, NODE, one.clock)
        task = group.create_task(left.run(slot), name="departures")
        yield
        task.cancel()


def names(one: Node) -> set[str]:
    return {each.name for each in one.state.sandboxes.values()}


def connected(one: Node) -> set[str]:
    return {one.state.sandboxes[each.sandbox].name for each in one.state.endpoints.values()}


@pytest.mark.parametrize("what", REMOVALS)
async def test_the_next_daemon_completes_it(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    async with node(store) as one:
        await served(one)
        await cut_off(one, what, monkeypatch)
        assert connected(one) == {"w1", "w2"}
    async with node(store, seed=2) as one:
        one.clock.now += 60
        async with completing(one):
            await support.eventually_async(lambda: connected(one) == {"w2"}, 60, "it is gone")
        assert names(one) == ({"w2"} if what == "sandbox rm" else {"w1", "w2"})
        assert one.state.departing == ()
        assert [one.state.sandboxes[each.sandbox].name for each in one.state.members.values()] == [
            "w2"
        ]


async def test_a_clock_that_was_set_back_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    async with node(store) as one:
        await served(one)
        await cut_off(one, "sandbox rm", monkeypatch)
    monkeypatch.setattr("sdd.control.members.COMPLETED_S", 0.01)
    monkeypatch.setattr("sdd.control.departures.PACE_S", 0.01)
    async with node(store, seed=2) as one:
        one.clock.now -= 3 * 3600
        async with completing(one):
            await support.eventually_async(lambda: names(one) == {"w2"}, 60, "it is gone")


async def test_what_was_connected_anew_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node() as one:
        await served(one)
        await cut_off(one, "another's rm", monkeypatch)
        await cut_off(one, "network disconnect", monkeypatch)
        one.clock.now += 60
        remove, done = one.commands.remove_sandbox, list[str]()

        async def slow(ref: str) -> None:
            """While it is at it, somebody completes the other, and connects it again."""
            await one.commands.disconnect("front", "w1")
            await one.commands.connect("w1", request.Attachment(network="front"))
            await remove(ref)
            done.append(ref)

        monkeypatch.setattr(one.commands, "remove_sandbox", slow)
        async with completing(one):
            await support.eventually_async(lambda: bool(done), 60, "the first is gone")
            await one.commands.create_network(request.NetworkCreate(name="after"))
            assert one.state.departing == ()
        assert connected(one) == {"w1"}


async def test_a_command_that_is_at_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node() as one:
        await served(one)
        await cut_off(one, "sandbox rm", monkeypatch)
        tries: list[str] = []

        async def remove(ref: str) -> None:
            tries.append(ref)
            raise errors.Unavailable("no")

        monkeypatch.setattr(one.commands, "remove_sandbox", remove)
        async with completing(one):
            await asyncio.sleep(0)
            assert tries == []
            one.clock.now += 10.1
            monkeypatch.setattr("sdd.control.departures.PACE_S", 0.01)
            await one.commands.add_record(
                request.RecordAdd(network="front", name="a", type="A", data="10.9.9.9")
            )
            await support.eventually_async(lambda: len(tries) > 1, 60, "it is tried again")
        assert names(one) == {"w1", "w2"}


async def test_nothing_new_for_what_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node() as one:
        await served(one)
        for name in ("back", "side"):
            await one.commands.create_network(request.NetworkCreate(name=name))
        await one.commands.create_service(request.ServiceCreate(name="api", network="front"))
        await cut_off(one, "network disconnect", monkeypatch)
        with pytest.raises(errors.Conflict, match="being disconnected from network front"):
            await one.commands.join("api", request.Join(sandbox="w1"))
        await one.commands.connect("w1", request.Attachment(network="back"))
        await cut_off(one, "another's rm", monkeypatch)
        with pytest.raises(errors.Conflict, match="w2 is being removed"):
            await one.commands.connect("w2", request.Attachment(network="side"))
        with pytest.raises(errors.Conflict, match="w2 is being removed"):
            await one.commands.join("api", request.Join(sandbox="w2"))
        await one.commands.remove_sandbox("w2")
        assert names(one) == {"w1"}

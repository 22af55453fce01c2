"""Every pair of commands, planned by two nodes on the same state, committed one after the other."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import IPv4Address, ip_network
from itertools import combinations_with_replacement
from typing import Any

import pytest

from sdd import errors
from sdd.model import health, ids, request, service
from sdd.store import contract
from sdd.store.memory import MemoryStore
from tests.scenario import laws
from tests.scenario.node import Node, node

Step = Callable[[Node], Coroutine[Any, Any, object]]


class Rendezvous(MemoryStore):
    """Once armed, two commits wait for each other: both plans were made on the same state.

    Whoever is refused before it commits keeps the other from waiting.
    """

    def __init__(self) -> None:
        super().__init__()
        self.met: asyncio.Event | None = None
        self.waits = False
        self.lost = 0

    async def commit(self, transaction: contract.Transaction) -> ids.Revision:
        if self.met and not self.met.is_set():
            if self.waits:
                self.met.set()
            self.waits = True
            async with asyncio.timeout(60):
                await self.met.wait()
        try:
            return await super().commit(transaction)
        except contract.Lost:
            self.lost += 1
            raise


def net(name: str, subnet: str) -> request.NetworkCreate:
    return request.NetworkCreate(name=name, pools=(request.PoolSpec(subnet=ip_network(subnet)),))


def box(name: str, *networks: str, services: tuple[str, ...] = ()) -> request.SandboxCreate:
    attachments = tuple(request.Attachment(network=each) for each in networks)
    return request.SandboxCreate(name=name, attachments=attachments, services=services)


TCP = service.HealthCheck(kind=service.CheckKind.TCP, port=80)
SPOT = IPv4Address("10.0.0.9")


async def judge(one: Node) -> None:
    (of, end), *_ = one.state.members
    await one.commands.record_verdict(of, end, health.Said(health.Status.DOWN, "because"))


RIVALS: Mapping[str, Step] = {
    "network": lambda one: one.commands.create_network(net("new", "10.9.0.0/24")),
    "wider-network": lambda one: one.commands.create_network(net("wide", "10.9.0.0/16")),
    "any-network": lambda one: one.commands.create_network(request.NetworkCreate(name="any")),
    "rm-network": lambda one: one.commands.remove_network("idle"),
    "sandbox": lambda one: one.commands.create_sandbox(box("new", "lab")),
    "idle-sandbox": lambda one: one.commands.create_sandbox(box("idler", "idle")),
    "spot-sandbox": lambda one: one.commands.create_sandbox(
        request.SandboxCreate(
            name="spot", attachments=(request.Attachment(network="lab", ip=SPOT),)
        )
    ),
    "serving-sandbox": lambda one: one.commands.create_sandbox(box("server", services=("web",))),
    "rm-sandbox": lambda one: one.commands.remove_sandbox("db"),
    "connect": lambda one: one.commands.connect("db", request.Attachment(network="idle")),
    "connect-other": lambda one: one.commands.connect("db", request.Attachment(network="side")),
    "disconnect": lambda one: one.commands.disconnect("lab", "db"),
    "service": lambda one: one.commands.create_service(
        request.ServiceCreate(name="new", network="lab", vips=(SPOT,))
    ),
    "idle-service": lambda one: one.commands.create_service(
        request.ServiceCreate(name="idler", network="idle")
    ),
    "rm-service": lambda one: one.commands.remove_service("web"),
    "join": lambda one: one.commands.join("web", request.Join(sandbox="db")),
    "leave": lambda one: one.commands.leave("web", "w1"),
    "weight": lambda one: one.commands.set_weight("web", "w1", 7),
    "rm-member": lambda one: one.commands.remove_sandbox("w1"),
    "verdict": judge,
}


async def prepare(one: Node) -> None:
    for name, subnet in (("lab", "10.0.0.0/24"), ("idle", "10.1.0.0/24"), ("side", "10.2.0.0/24")):
        await one.commands.create_network(net(name, subnet))
    web = request.ServiceCreate(name="web", network="lab", health=TCP)
    await one.commands.create_service(web)
    await one.commands.create_sandbox(box("db", "lab"))
    await one.commands.create_sandbox(box("w1", "lab", services=("web",)))


@pytest.mark.parametrize(("first", "second"), list(combinations_with_replacement(RIVALS, 2)))
async def test_two_nodes_at_once(first: str, second: str) -> None:
    store = Rendezvous()
    async with node(store) as one, node(store, seed=2) as two:
        await prepare(one)
        await two.feed.reached(one.state.revision)
        met = store.met = asyncio.Event()
        refused = []

        async def tried(step: Step, on: Node) -> None:
            try:
                await step(on)
            except errors.SddError as exc:
                refused.append(exc)
            met.set()

        await asyncio.gather(tried(RIVALS[first], one), tried(RIVALS[second], two))
        await laws.check(one)
        assert len(refused) <= 1
        if first == second and first != "verdict":
            assert store.lost

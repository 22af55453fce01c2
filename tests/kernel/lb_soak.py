"""Joins, leaves, weights and verdicts at random: in the end the kernel holds what is desired.

SDD_ROUNDS sets how many (docs/testing.md). Only the end is compared, with what the kernel's own
tool prints: every step on the way started from what the one before was believed to have left.
"""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface

from lb import reconciler, table, world
from lb.desired import desired, nothing
from sdd.model import endpoint, health, ids, network, sandbox, service
from sdd.model.look import NOWHERE
from sdd.state import ClusterState, Gone, Object, Put
from tests.kernel.lb_town import Town

ROUNDS = int(os.environ.get("SDD_ROUNDS", "300"))
TIMEOUT_S = 600 + ROUNDS / 10
SERVICES, BACKENDS = 5, 12
NODE = ids.NodeId("here")
FRONT = network.Network(id=ids.NetworkId("front"), name="front", pools=())
SCHEDULERS = (service.Scheduler.RR, service.Scheduler.WRR, service.Scheduler.MH)
FIRST_VIP, FIRST_BACKEND = 200, 20
Move = Callable[["Soak"], Iterator[Put | Gone]]


class Soak:
    """The state and the dice."""

    def __init__(self, town: Town, seed: int) -> None:
        self.dice = random.Random(seed)
        client = sandbox.Sandbox(
            id=ids.SandboxId("client"),
            name="client",
            node=NODE,
            origin=sandbox.Origin.NAMED,
            netns=town.path("client"),
        )
        here: list[Object] = [FRONT, client, _plug("client", 100)]
        here += [_plug(f"b{at}", FIRST_BACKEND + at) for at in range(BACKENDS)]
        here += [_service(at) for at in range(SERVICES)]
        self.state = ClusterState().apply(ids.Revision(1), map(Put, here))

    def turn(self) -> None:
        """One thing happens."""
        move = self.dice.choice((join, join, leave, weigh, judge, judge, settle, drain))
        self.state = self.state.apply(ids.Revision(self.state.revision + 1), move(self))

    def wanted(self) -> dict[ids.ServiceId, table.VirtualService]:
        """What the client ought to balance now, by service."""
        (want,) = desired(self.state, nothing(NODE)).sandboxes.values()
        return {want.owners[vip]: one for vip, one in want.table.services.items()}

    def a_service(self) -> service.Service:
        return self.dice.choice(sorted(self.state.services.values(), key=lambda each: each.id))

    def a_member(self) -> service.Member | None:
        members = sorted(
            self.state.members.values(), key=lambda each: (each.service, each.endpoint)
        )
        return self.dice.choice(members) if members else None


def _plug(name: str, number: int) -> endpoint.Endpoint:
    return endpoint.Endpoint(
        id=ids.EndpointId(name),
        network=FRONT.id,
        sandbox=ids.SandboxId(name),
        node=NODE,
        addresses=(ip_interface(f"10.77.0.{number}/24"),),
        mac="02:00:00:00:00:01",
        ifname="eth0",
    )


def _service(at: int) -> service.Service:
    return service.Service(
        id=ids.ServiceId(f"s{at}"),
        name=f"s{at}",
        network=FRONT.id,
        number=at + 1,
        vips=(ip_address(f"10.77.0.{FIRST_VIP + at}"),),
        health=service.HealthCheck(kind=service.CheckKind.TCP, port=80),
    )


# --- what may happen ------------------------------------------------------------------------------


def join(soak: Soak) -> Iterator[Put | Gone]:
    end = f"b{soak.dice.randrange(BACKENDS)}"
    made = service.Member(
        service=soak.a_service().id,
        endpoint=ids.EndpointId(end),
        sandbox=ids.SandboxId(end),
        node=NODE,
        weight=soak.dice.randint(1, 5),
        backup=soak.dice.random() < 0.2,
    )
    yield Put(made)
    yield _verdict(made, health.Status.UP)


def leave(soak: Soak) -> Iterator[Put | Gone]:
    if member := soak.a_member():
        yield Gone(service.Member, (member.service, member.endpoint))
        yield Gone(health.Verdict, (member.service, member.endpoint))


def weigh(soak: Soak) -> Iterator[Put | Gone]:
    if member := soak.a_member():
        yield Put(replace(member, weight=soak.dice.choice((0, 1, 2, 7)), drains_until=0.0))


def drain(soak: Soak) -> Iterator[Put | Gone]:
    if member := soak.a_member():
        yield Put(replace(member, drains_until=2e9))


def judge(soak: Soak) -> Iterator[Put | Gone]:
    if member := soak.a_member():
        status = soak.dice.choice((health.Status.UP, health.Status.DOWN))
        yield _verdict(member, status)


def settle(soak: Soak) -> Iterator[Put | Gone]:
    """Another scheduler, quorum or panic threshold."""
    change = replace(
        soak.a_service(),
        scheduler=soak.dice.choice(SCHEDULERS),
        quorum=soak.dice.randint(1, 3),
        panic=soak.dice.choice((0, 0, 50)),
    )
    yield Put(change)


def _verdict(of: service.Member, status: health.Status) -> Put:
    return Put(health.Verdict(service=of.service, endpoint=of.endpoint, status=status))


async def soaked(kernel: world.Kernel, town: Town, seed: int, rounds: int = ROUNDS) -> Soak:
    """The end of `rounds` turns, each realised by itself."""
    soak = Soak(town, seed)
    one = reconciler.Reconciler(kernel, NODE)
    await one.realise(soak.state)
    for turn in range(rounds):
        soak.turn()
        outcome = await one.realise(soak.state, NOWHERE)
        assert outcome.failures == (), f"turn {turn}: {outcome.failures}"
        assert outcome.repaired == 0
    return soak

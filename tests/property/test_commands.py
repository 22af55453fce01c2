"""Whatever people type in whatever order: claims and objects agree, nothing is given twice."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdd import errors
from sdd.model import health, ids, request, service
from sdd.store import contract
from sdd.store.memory import MemoryStore
from tests.scenario import laws
from tests.scenario.node import Node, node

pytestmark = pytest.mark.slow
NETWORKS = ("n0", "n1", "n2")
SANDBOXES = ("b0", "b1", "b2", "b3")
SERVICES = ("s0", "s1")
Step = Callable[[Node], Coroutine[Any, Any, object]]


def steps() -> st.SearchStrategy[Step]:
    """One command with random words: some succeed, many are refused."""
    net, box, svc = (st.sampled_from(names) for names in (NETWORKS, SANDBOXES, SERVICES))
    subnet = st.sampled_from([None, "10.0.0.0/29", "10.0.0.0/28", "10.1.0.0/30", "fd00::/125"])
    ip = st.none() | st.integers(0, 15).map(lambda n: ip_address(0x0A000000 + n))
    attachments = st.lists(
        st.builds(lambda n, i: request.Attachment(network=n, ip=i), net, ip), max_size=2
    ).map(tuple)
    publishes = st.lists(publish(), max_size=2).map(tuple)
    return st.one_of(
        st.builds(_create_network, net, subnet, st.booleans()),
        st.builds(lambda n: lambda one: one.commands.remove_network(n), net),
        st.builds(
            _create_sandbox, box, attachments, st.lists(svc, max_size=2, unique=True), publishes
        ),
        st.builds(lambda b: lambda one: one.commands.remove_sandbox(b), box),
        st.builds(_connect, box, net, ip),
        st.builds(lambda n, b: lambda one: one.commands.disconnect(n, b), net, box),
        st.builds(_create_service, svc, net, ip, publishes),
        st.builds(_republish, svc, publishes),
        st.builds(lambda s: lambda one: one.commands.remove_service(s), svc),
        st.builds(_join, svc, box),
        st.builds(lambda s, b: lambda one: one.commands.leave(s, b), svc, box),
        st.builds(
            _add_record,
            net,
            st.sampled_from(["b0", "x"]),
            st.sampled_from(["A 10.9.9.9", "CNAME b1", "TXT t"]),
        ),
        st.builds(_remove_record, net, st.sampled_from(["b0", "x"])),
        st.builds(_judge, st.sampled_from(health.Status)),
    )


def publish() -> st.SearchStrategy[request.Publish]:
    """Few numbers, so that many clash."""
    hosts = st.sampled_from([None, ip_address("127.0.0.1"), ip_address("0.0.0.0")])
    return st.builds(
        lambda number, more, target, host: request.Publish(
            published=number,
            published_last=number + more if number and more else 0,
            target=target,
            address=host,
        ),
        st.sampled_from([0, 8080, 8081]),
        st.integers(0, 1),
        st.sampled_from([80, 81]),
        hosts,
    )


def _republish(svc: str, asked: tuple[request.Publish, ...]) -> Step:
    gone = (request.Unpublish(target=80),)
    change = request.ServiceUpdate(publish_add=asked, publish_remove=gone)
    return lambda one: one.commands.update_service(svc, change)


def _create_network(name: str, subnet: str | None, ipv6: bool) -> Step:
    pools = (request.PoolSpec(subnet=ip_network(subnet)),) if subnet else ()
    asked = request.NetworkCreate(name=name, pools=pools, ipv6=ipv6)
    return lambda one: one.commands.create_network(asked)


def _add_record(net: str, name: str, text: str) -> Step:
    kind, data = text.split()
    asked = request.RecordAdd(network=net, name=name, type=kind, data=data)
    return lambda one: one.commands.add_record(asked)


def _remove_record(net: str, name: str) -> Step:
    return lambda one: one.commands.remove_records(request.RecordRemove(network=net, name=name))


def _create_sandbox(
    name: str,
    attachments: tuple[request.Attachment, ...],
    services: list[str],
    publishes: tuple[request.Publish, ...] = (),
) -> Step:
    asked = request.SandboxCreate(
        name=name, attachments=attachments, services=tuple(services), publish=publishes
    )
    return lambda one: one.commands.create_sandbox(asked)


def _connect(box: str, net: str, ip: Any) -> Step:
    return lambda one: one.commands.connect(box, request.Attachment(network=net, ip=ip))


def _create_service(
    name: str, net: str, vip: Any, publishes: tuple[request.Publish, ...] = ()
) -> Step:
    check = service.HealthCheck(kind=service.CheckKind.TCP, port=80)
    vips = (vip,) if vip is not None else ()
    asked = request.ServiceCreate(
        name=name, network=net, vips=vips, health=check, publish=publishes
    )
    return lambda one: one.commands.create_service(asked)


def _join(svc: str, box: str) -> Step:
    return lambda one: one.commands.join(svc, request.Join(sandbox=box))


def _judge(status: health.Status) -> Step:
    async def step(one: Node) -> None:
        for of, end in one.state.members:
            await one.commands.record_verdict(of, end, health.Said(status, "because"))

    return step


@settings(max_examples=60, deadline=None)
@given(st.lists(steps(), max_size=25))
def test_claims_and_objects_agree_after_any_commands(script: list[Step]) -> None:
    async def play() -> None:
        async with node() as one:
            for step in script:
                with contextlib.suppress(errors.SddError):
                    await step(one)
                laws.check_nothing_twice(one.state)
            await laws.check(one)

    asyncio.run(play())


class Jostling(MemoryStore):
    """Lets others go first between a plan and its commit, so that compares are lost."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self.lost = 0

    async def commit(self, transaction: contract.Transaction) -> ids.Revision:
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)
        try:
            return await super().commit(transaction)
        except contract.Lost:
            self.lost += 1
            raise


async def prepared(one: Node) -> None:
    """Something to fight for."""
    for step in (
        _create_network("n0", "10.0.0.0/28", False),
        _create_network("n1", "10.1.0.0/30", False),
        _create_service("s0", "n0", None),
        _create_sandbox("b0", (request.Attachment(network="n0"),), []),
        _create_sandbox("b1", (request.Attachment(network="n0"),), []),
    ):
        await step(one)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps(), min_size=4, max_size=16), st.integers(0, 2**16))
def test_the_same_commands_all_at_once_on_two_nodes(script: list[Step], seed: int) -> None:
    async def tried(step: Step, one: Node) -> None:
        with contextlib.suppress(errors.SddError):
            await step(one)

    async def play() -> None:
        async with node(Jostling(seed)) as one, node(one.store, seed=2) as two:
            await prepared(one)
            await two.feed.reached(one.state.revision)
            await asyncio.gather(
                *(tried(step, (one, two)[at % 2]) for at, step in enumerate(script))
            )
            await laws.check(one)

    asyncio.run(play())

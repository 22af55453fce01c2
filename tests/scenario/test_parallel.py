"""Fifty commands at once on each engine: nothing twice, everything freed."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sdd.control.commander import Commander
from sdd.model import request
from sdd.store import contract
from sdd.store.memory import MemoryStore
from sdd.store.sqlite import SqliteStore
from tests.scenario import laws
from tests.scenario.node import Node, addresses_of, node

if TYPE_CHECKING:
    from sdd.control import commands


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[contract.Store]:
    one: contract.Store = (
        MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "sdd.db")
    )
    yield one
    await one.close()


LAB = request.NetworkCreate(
    name="lab", pools=(request.PoolSpec(subnet=ip_network("10.80.0.0/26")),), ipv6=True
)


async def create_sandbox(one: Node, n: int) -> None:
    await one.commands.create_sandbox(
        request.SandboxCreate(name=f"w{n}", attachments=(request.Attachment(network="lab"),))
    )


async def test_C76_fifty_creates_and_removals_at_once(store: contract.Store) -> None:
    async with node(store) as one:
        await one.commands.create_network(LAB)
        await asyncio.gather(*(create_sandbox(one, n) for n in range(50)))
        held = list(addresses_of(one.state))
        assert len(held) == len(set(held)) == 100
        await laws.check(one)
        await asyncio.gather(
            *(one.commands.remove_sandbox(f"w{n}") for n in range(0, 50, 2)),
            *(create_sandbox(one, n) for n in range(50, 60)),
        )
        await laws.check(one)
        assert len(one.state.sandboxes) == 35


async def test_a_command_works_the_same_after_a_restart(store: contract.Store) -> None:
    async with node(store) as one:
        await one.commands.create_network(LAB)
        await create_sandbox(one, 1)
        (end,) = one.state.endpoints.values()
        await one.commands.remove_sandbox("w1")
    async with node(store, seed=7) as again:
        await create_sandbox(again, 2)
        (later,) = again.state.endpoints.values()
        assert later.hosts[0] == end.hosts[0] + 1
        await laws.check(again)


def test_the_commander_is_what_callers_know() -> None:
    """Checked by mypy: the assignment is the test."""
    kind: type[commands.Commands] = Commander
    assert kind is Commander

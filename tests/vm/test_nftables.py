"""nftables balances on Debian's kernel as on the machine's: the contract, and a large table."""

import asyncio
from collections.abc import Iterator

import pytest

from lb import table
from lb.kernel.nftables import NftablesKernel
from sdd.model.service import Scheduler
from tests.contract import lb_kernel
from tests.kernel import lb_traffic
from tests.kernel.lb_town import Town

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    built = Town("nft")
    yield built
    built.close()


@pytest.fixture
def kernel(town: Town) -> Iterator[NftablesKernel]:
    opened = NftablesKernel(town.doors)
    yield opened
    asyncio.run(lb_traffic.put(opened, town))


@pytest.fixture
def place(town: Town) -> table.Place:
    return town.place()


class TestContract(lb_kernel.LbKernelContract):
    """The suite of the fake."""


async def test_many_slots_lead_to_backends_by_their_weights(
    kernel: NftablesKernel, town: Town
) -> None:
    few = lb_traffic.service(town, scheduler=Scheduler.MH, b1=1, b2=1)
    many = lb_traffic.service(town, scheduler=Scheduler.MH, b1=1, b2=60, b3=60)
    more = lb_traffic.service(town, scheduler=Scheduler.MH, b1=1, b2=1000)
    for one, fewest in ((few, 5), (many, 5), (more, 20), (few, 5)):
        await lb_traffic.put(kernel, town, one)
        assert lb_traffic.shares(town, 40).get("b2", 0) >= fewest

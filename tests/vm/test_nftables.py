"""nftables balances on Debian's kernel as on the machine's: the contract, and a large table."""

import asyncio
from collections.abc import Iterator

import pytest

from lb import plan, table
from lb.kernel.nftables import NftablesKernel
from sdd.model.service import Scheduler
from tests.contract import lb_kernel
from tests.kernel import lb_traffic
from tests.kernel.lb_town import VIP, Town

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
        assert lb_traffic.spread(town).get("b2", 0) >= fewest


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize(
    ("chain", "rule", "told"),
    [
        (f"vip-{VIP}", "meta l4proto @ported dnat ip to 10.77.0.1", f"the rules of {VIP} do"),
        ("output", "ip daddr 10.77.0.200 accept", "the rules of the chain 'output' do"),
    ],
)
async def test_a_rule_that_hands_replaced_with_its_comment_is_seen_and_mended(
    town: Town, chain: str, rule: str, told: str, is_restarted: bool
) -> None:
    kernel, place = NftablesKernel(town.doors), town.place()
    web = lb_traffic.service(town, scheduler=Scheduler.MH)
    await lb_traffic.put(kernel, town, web)
    town.nft("client", "add table inet theirs")
    want = await NftablesKernel(town.doors).read(place)
    assert want == await kernel.read(place)
    assert want.flaws == ()
    town.edit("client", chain, 0, rule)
    if is_restarted:
        kernel = NftablesKernel(town.doors)
    have = await kernel.read(place)
    assert [each.what for each in have.flaws] == [f"{told} not do what they say"]
    assert (await kernel.apply(place, have, plan.diff(have, want))).refusals == ()
    assert await kernel.read(place) == want
    await lb_traffic.put(kernel, town)

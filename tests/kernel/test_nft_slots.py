"""Maps of many slots are read when somebody else may have changed them, and not otherwise."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lb import plan
from lb.kernel import nft_slots
from lb.kernel.nftables import NftablesKernel
from sdd.model.service import Scheduler
from tests.contract import lb_kernel
from tests.kernel import lb_traffic
from tests.kernel.lb_town import VIP, Town

pytestmark = pytest.mark.kernel

MANY = replace(lb_kernel.virtual(VIP, 1, 100), scheduler=Scheduler.MH)


@pytest.fixture
def town() -> Iterator[Town]:
    built = Town("slots", backends=1)
    yield built
    built.close()


async def test_what_we_alone_changed_is_not_read_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    is_whole = nft_slots._is_whole

    def noted(*of: object) -> bool:
        read.append("once more")
        return is_whole(*of)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(nft_slots, "_is_whole", noted)
    kernel, place = NftablesKernel(town.doors), town.place()
    await lb_traffic.put(kernel, town, MANY)
    read.clear()
    have = lb_kernel.table_of(MANY)
    for weights in ((1, 99), (1, 99, 100), (1, 98)):  # one comes and goes, with its counters
        want = lb_kernel.table_of(replace(MANY, backends=lb_kernel.backends(*weights)))
        assert (await kernel.apply(place, have, plan.diff(have, want))).refusals == ()
        assert await kernel.read(place) == want
        have = want
    assert read == []
    town.nft("client", "add table inet theirs")
    assert await kernel.read(place) == have
    assert read == ["once more"]

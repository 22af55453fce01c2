"""What is around a balancing kernel, on the one in memory."""

from collections.abc import Iterator

import pytest

from lb import growth, plan, table
from lb.fake import FakeKernel
from lb.kernel.ingress import IngressKernel
from sdd.linux import namespaces
from tests.contract.lb_kernel import WEB, table_of, virtual

PLACE = table.Place(netns="/ns/client")


@pytest.fixture
def doors() -> Iterator[namespaces.Namespaces]:
    opened = namespaces.Namespaces()
    yield opened
    opened.close()


async def test_what_leaves_is_told_with_its_counts(doors: namespaces.Namespaces) -> None:
    inner = FakeKernel()
    inner.make(PLACE.netns)
    kernel = IngressKernel(doors, inner)
    have, want = table_of(virtual(WEB, 1, 1)), table_of(virtual(WEB, 1))
    await kernel.apply(PLACE, table.EMPTY, plan.diff(table.EMPTY, have))
    (gone,) = {each.address for each in have.services[WEB].backends} - {
        each.address for each in want.services[WEB].backends
    }
    inner.counts[WEB, "tcp", gone] = growth.Growth(connections=5)
    done = await kernel.apply(PLACE, have, plan.diff(have, want))
    assert {(each.vip, each.address) for each in done.ended} == {(WEB, gone)}
    assert sum(each.connections or 0 for each in done.ended) == 5
    assert await kernel.counters(PLACE) == await kernel.loads(PLACE)

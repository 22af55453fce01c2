"""What of a map of many slots a change writes; that the kernel takes it is the kernel suite's."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lb import maglev, table
from lb.kernel import nft_slots
from sdd.linux import netlink
from sdd.model.service import Scheduler

VIP = IPv4Address("10.77.0.200")
NEW_SET, DELETE_SET, NEW_ELEMENT, DELETE_ELEMENT = 9, 11, 12, 14


def service(*weights: int, scheduler: Scheduler = Scheduler.MH) -> table.VirtualService:
    members = tuple(
        table.Backend(address=IPv4Address("10.77.4.0") + at, weight=weight)
        for at, weight in enumerate(weights)
    )
    return table.VirtualService(number=1, vip=VIP, scheduler=scheduler, backends=members)


def written(
    before: table.VirtualService | None, now: table.VirtualService | None, *, anew: bool = False
) -> dict[int, int]:
    """Kind of request → of how many elements, or how many requests without elements."""
    found: dict[int, int] = {}
    for each in nft_slots.changed(before, now, anew=anew):
        elements = netlink.attributes(each.body[4:]).get(3, b"")
        is_of_elements = each.kind & 0xFF in (NEW_ELEMENT, DELETE_ELEMENT)
        count = sum(1 for _ in netlink.walk(elements)) if is_of_elements else 1
        found[each.kind & 0xFF] = found.get(each.kind & 0xFF, 0) + count
    return found


def layers(*weights: int) -> list[int]:
    """How many slots each of the maps of these has."""
    return [len(layer) for _, layer in maglev.filled(service(*weights).backends).layers]


def test_one_of_many_that_goes_writes_few_elements() -> None:
    before = service(*[1] * 300)
    now = replace(before, backends=before.backends[1:])
    found = written(before, now)
    assert found.keys() == {NEW_ELEMENT, DELETE_ELEMENT}
    assert found[NEW_ELEMENT] < 300


@pytest.mark.parametrize("backends", [11, 41, 100, 300, 1000])
def test_the_maps_of_many_hold_a_few_elements_for_each(backends: int) -> None:
    assert sum(layers(*[1] * backends)) < max(6 * backends, 300)


@pytest.mark.parametrize("backends", [10, 40, 160])
def test_one_more_where_the_size_steps_writes_few_elements(backends: int) -> None:
    """In each sandbox of a network, whose members may be clients of each other."""
    now = service(*[1] * (backends + 1))
    found = written(replace(now, backends=now.backends[:-1]), now)
    assert found[NEW_SET] == 1
    assert found[NEW_ELEMENT] < max(3 * backends, 200)


def test_what_stays_as_it_is_writes_nothing() -> None:
    assert written(service(1, 100), service(1, 100)) == {}


@pytest.mark.parametrize(
    ("before", "now", "kinds"),
    [
        (None, service(1, 100), {NEW_SET: 1, NEW_ELEMENT: layers(1, 100)[0]}),
        (service(1, 1), service(1, 100), {NEW_SET: 1, NEW_ELEMENT: layers(1, 100)[0]}),
        (service(1, 100), service(1, 1), {DELETE_SET: 1}),
        (service(1, 100), service(1, 100, scheduler=Scheduler.WRR), {DELETE_SET: 1}),
        (service(1, 100), service(0, 100), {DELETE_SET: 1}),
        (service(1, 1000), None, {DELETE_SET: 2}),
        (None, service(1, 1), {}),
        (None, service(1), {}),
        (None, service(), {}),
    ],
)
def test_a_map_comes_and_goes_with_its_size(
    before: table.VirtualService | None, now: table.VirtualService, kinds: dict[int, int]
) -> None:
    assert written(before, now) == kinds


def test_anew_is_everything() -> None:
    assert written(service(1, 100), service(1, 100), anew=True) == {
        DELETE_SET: 1,
        NEW_SET: 1,
        NEW_ELEMENT: layers(1, 100)[0],
    }

"""Even shares, few moves, one table for all orders, and a size that follows the backends."""

import collections
import random
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb import maglev, plan, rendezvous, table

Slots = tuple[table.Backend, ...]


def members(*weights: int) -> Slots:
    return plan.ordered(
        [
            table.Backend(address=IPv4Address("10.0.0.0") + number, weight=weight)
            for number, weight in enumerate(weights, start=1)
        ]
    )


def counts(filled: Slots) -> list[int]:
    return sorted(collections.Counter(each.address for each in filled).values())


def moved(before: Slots, after: Slots) -> float:
    """Which part of the hashes led to somebody who is still there, and lead to another one now."""
    size = max(len(before), len(after))
    old, new = (
        [one[at * len(one) // size].address for at in range(size)] for one in (before, after)
    )
    staying = set(new)
    kept = [(a, b) for a, b in zip(old, new, strict=True) if a in staying]
    return sum(a != b for a, b in kept) / len(kept)


def test_nobody_serves_no_slots() -> None:
    assert maglev.slots(()) == ()
    assert maglev.slots(members(0, 0)) == ()


def test_equal_weights_fill_equally() -> None:
    assert counts(maglev.slots(members(1, 1, 1))) == [83, 84, 84]


def test_weights_fill_in_proportion() -> None:
    filled = collections.Counter(each.weight for each in maglev.slots(members(4, 1)))
    assert abs(filled[4] - 4 * filled[1]) <= 5


def test_weight_zero_fills_nothing() -> None:
    assert {each.weight for each in maglev.slots(members(1, 0, 1))} == {1}


def test_the_order_of_backends_does_not_matter_to_the_hash_of_their_set() -> None:
    backends = list(members(*range(1, 40)))
    random.Random(1).shuffle(backends)
    assert maglev.slots(plan.ordered(backends)) == maglev.slots(members(*range(1, 40)))


@pytest.mark.parametrize(
    ("backends", "size"),
    [(1, 251), (10, 251), (11, 1004), (40, 1004), (41, 4016), (100, 4016), (1000, 16064)],
)
def test_the_table_grows_with_its_backends(backends: int, size: int) -> None:
    assert len(maglev.slots(members(*[1] * backends))) == size


@pytest.mark.parametrize(
    ("weights", "size"), [((1, 10), 251), ((1, 100), 1004), ((1, 1000), 4016), ((1, 65535), 16064)]
)
def test_the_table_grows_with_the_distance_of_weights(weights: list[int], size: int) -> None:
    assert len(maglev.slots(members(*weights))) == size


@pytest.mark.parametrize("weights", [(1, 1), (1, 100), (1, 65535), [1] * 100, [1] * 1000])
def test_the_layers_over_the_smallest_table_are_the_whole_one(weights: list[int]) -> None:
    found = maglev.filled(members(*weights))
    assert maglev.layers(weights) == len(found.layers)
    tables = ((len(found.base), dict(enumerate(found.base))), *found.layers)
    places = found.all()
    for at, owner in enumerate(places):
        scaled = ((layer, at * size // len(places)) for size, layer in tables)
        assert [layer[slot] for layer, slot in scaled if slot in layer][-1] == owner


@pytest.mark.parametrize("backends", [2, 10, 11, 40, 41, 100, 160, 300, 642])
def test_equal_members_are_even_within_four_per_cent_however_many(backends: int) -> None:
    found = counts(maglev.slots(members(*[1] * backends)))
    assert len(found) == backends
    assert found[-1] - found[0] <= 1
    assert found[0] >= 25


@pytest.mark.parametrize("backends", [1000, 5000])
def test_each_of_very_many_has_its_slots(backends: int) -> None:
    found = counts(maglev.slots(members(*[1] * backends)))
    assert len(found) == backends
    assert found[-1] - found[0] <= 1


@pytest.mark.parametrize(
    "weights", [(1, 1000), (1, 65535), (*[1] * 999, 65535), (*[65535] * 999, 1)]
)
def test_the_lightest_is_never_left_out(weights: list[int]) -> None:
    found = counts(maglev.slots(members(*weights)))
    assert len(found) == len(weights)
    assert found[0] >= 1


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30))
def test_shares_are_the_weights_to_one_slot(weights: list[int]) -> None:
    filled = maglev.slots(members(*weights))
    found = collections.Counter(each.address for each in filled)
    for each in members(*weights):
        assert abs(found[each.address] - len(filled) * each.weight / sum(weights)) < 1


def moved_by_one_that_goes(backends: int) -> float:
    """At most; of the flows of those who stay."""
    all_of_them = members(*[1] * backends)
    before = maglev.slots(all_of_them)
    return max(
        moved(before, maglev.slots([*all_of_them[:gone], *all_of_them[gone + 1 :]]))
        for gone in {0, backends // 3, backends // 2, backends - 1}
    )


@pytest.mark.parametrize(
    ("backends", "part"),
    [(2, 0), (3, 0.05), (10, 0.06), (20, 0.06), (40, 0.06), (100, 0.05), (300, 0.04), (1000, 0.02)],
)
def test_taking_one_away_moves_few_flows_of_the_others(backends: int, part: float) -> None:
    assert moved_by_one_that_goes(backends) <= part


@pytest.mark.parametrize("backends", [11, 41, 161, 642, 643])
def test_taking_one_away_moves_few_flows_also_where_the_size_steps(backends: int) -> None:
    """Steps of size are at 11, 41 and 161 backends."""
    assert moved_by_one_that_goes(backends) < 0.08


@pytest.mark.parametrize(
    ("before", "after"), [((10, 10), (10, 1)), ((1, 30), (1, 80)), ([10] * 10, [*[10] * 9, 1])]
)
def test_a_weight_that_makes_the_table_grow_moves_little_more_than_its_share(
    before: list[int], after: list[int]
) -> None:
    old, new = members(*before), members(*after)
    shares = zip(old, new, strict=True)
    due = sum(abs(a.weight / sum(before) - b.weight / sum(after)) for a, b in shares) / 2
    assert moved(maglev.slots(old), maglev.slots(new)) < due + 0.05


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_every_slot_is_filled_by_somebody_who_serves(weights: list[int]) -> None:
    filled = maglev.slots(members(*weights))
    ready = [each for each in weights if each]
    assert len(filled) == (maglev.size(ready) if ready else 0)
    assert all(each.weight for each in filled)


@pytest.mark.parametrize("weights", [[1] * 3, [1] * 20, [1] * 100, [1] * 251, (3, 1, 1), (9, 2)])
def test_a_table_for_one_rule_is_even_by_itself(weights: list[int]) -> None:
    found = collections.Counter(maglev.small(members(*weights)))
    for each in members(*weights):
        assert abs(found[each.packed] - rendezvous.SLOTS * each.weight / sum(weights)) < 1


def test_of_more_backends_than_slots_the_heaviest_are_in_a_table_for_one_rule() -> None:
    many = members(*[1] * 100, *[2] * 250, *[1] * 100)
    found = maglev.small(many)
    assert sorted(found) == [each.packed for each in (many[0], *many[100:350])]

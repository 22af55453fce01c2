"""Even shares, few moves, one table for all orders."""

import collections
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lb import maglev, plan, table


def members(*weights: int) -> tuple[table.Backend, ...]:
    return plan.ordered(
        [
            table.Backend(address=ip_address(f"10.0.0.{number}"), weight=weight)
            for number, weight in enumerate(weights, start=1)
        ]
    )


def counts(filled: tuple[table.Backend, ...]) -> list[int]:
    return sorted(collections.Counter(each.address for each in filled).values())


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


def test_removing_one_of_three_moves_few_flows_of_the_others() -> None:
    before, after = maglev.slots(members(1, 1, 1)), maglev.slots(members(1, 1))
    kept = [(old, new) for old, new in zip(before, after, strict=True) if old in members(1, 1)]
    moved = sum(old != new for old, new in kept)
    assert moved / len(kept) < 0.25, f"{moved} of {len(kept)}"


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_every_slot_is_filled_by_somebody_who_serves(weights: list[int]) -> None:
    filled = maglev.slots(members(*weights))
    assert len(filled) == (maglev.SLOTS if any(weights) else 0)
    assert all(each.weight for each in filled)

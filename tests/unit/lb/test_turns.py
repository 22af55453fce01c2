"""One round: shares as weights, spread, bounded."""

import collections
import itertools
import math
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lb import table, turns


def members(*weights: int) -> tuple[table.Backend, ...]:
    return tuple(
        table.Backend(address=ip_address(f"10.0.0.{number}"), weight=weight)
        for number, weight in enumerate(weights, start=1)
    )


def names(round_: tuple[table.Backend, ...]) -> str:
    return "".join(str(each.address)[-1] for each in round_)


def test_without_weights_each_has_one_turn() -> None:
    assert names(turns.turns(members(5, 1, 1), weighted=False)) == "123"


def test_the_turns_of_a_heavy_backend_are_spread() -> None:
    assert names(turns.turns(members(4, 1, 1), weighted=True)) == "121131"


def test_common_factors_do_not_lengthen_the_round() -> None:
    assert names(turns.turns(members(200, 100), weighted=True)) == "121"


def test_nobody_serves_no_turn() -> None:
    assert turns.turns(members(0, 0), weighted=True) == ()


def test_weights_of_many_are_told_apart() -> None:
    counted = collections.Counter(turns.turns(members(*[1] * 50, *[10] * 50), weighted=True))
    assert {each.weight: count for each, count in counted.items()} == {1: 1, 10: 7}


@given(st.lists(st.integers(1, 65535), min_size=1, max_size=12))
def test_a_round_is_short_and_forgets_nobody(weights: list[int]) -> None:
    round_ = turns.turns(members(*weights), weighted=True)
    assert len(round_) <= turns.MOST_TURNS + len(weights)
    longest = max(len(list(run)) for _, run in itertools.groupby(round_ + round_))
    heaviest = max(collections.Counter(round_).values())
    others = len(round_) - heaviest
    assert not others or longest <= max(1, math.ceil(heaviest / others)) + 1
    assert len(collections.Counter(each.address for each in round_)) == len(weights)

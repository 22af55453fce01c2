"""Who is the first, and that nobody but he who comes or goes changes it."""

import collections
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb import rendezvous

SIZE = 1004


def keys(count: int) -> list[bytes]:
    return [bytes((10, 0, each // 256, each % 256)) for each in range(count)]


def firsts(names: Sequence[bytes], weights: Sequence[int]) -> list[bytes]:
    owners, _ = rendezvous.firsts(names, weights)
    return [names[each] for each in owners]


@given(st.lists(st.integers(1, 100), min_size=2, max_size=40), st.integers(0, 39))
def test_one_that_goes_leaves_all_others_what_they_had(weights: list[int], number: int) -> None:
    names, gone = keys(len(weights)), number % len(weights)
    before = firsts(names, weights)
    del weights[gone]
    after = firsts([*names[:gone], *names[gone + 1 :]], weights)
    assert all(now == was for was, now in zip(before, after, strict=True) if was != names[gone])


@given(st.lists(st.integers(1, 100), min_size=2, max_size=40), st.integers(1, 500))
def test_who_becomes_heavier_takes_and_all_others_give_to_him_alone(
    weights: list[int], more: int
) -> None:
    names = keys(len(weights))
    before = firsts(names, weights)
    after = firsts(names, [weights[0] + more, *weights[1:]])
    assert {now for was, now in zip(before, after, strict=True) if was != now} <= {names[0]}


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (100, 1), [1] * 100, [65535] * 1000])
def test_each_slot_has_somebody_and_it_is_told_when_he_came(weights: list[int]) -> None:
    owners, came = rendezvous.firsts(keys(len(weights)), weights)
    assert len(owners) == len(came) == rendezvous.SLOTS
    assert min(owners) >= 0
    assert 0 < min(came) <= max(came) < 600 / sum(weights)


@pytest.mark.parametrize(("heavy", "light"), [(1, 1), (3, 1), (9, 1)])
def test_the_chance_to_be_the_first_is_the_share(heavy: int, light: int) -> None:
    """Of 100 pairs: how many slots one has differs from pair to pair."""
    names = keys(200)
    found = 0
    for pair in range(0, 200, 2):
        had = collections.Counter(rendezvous.firsts(names[pair : pair + 2], (heavy, light))[0])
        found += had[0]
    assert abs(found / (100 * rendezvous.SLOTS) - heavy / (heavy + light)) < 0.01


def one_after_the_other(
    free: set[int], due: Mapping[int, int], names: Sequence[bytes]
) -> list[tuple[int, int]]:
    """The same as it is told: turn by turn, each at one slot."""
    left = dict(due)
    found: list[tuple[int, int]] = []
    for turn in range(SIZE):
        for each in sorted(left):
            first, skip, _ = rendezvous._order(names[each], SIZE)
            at = (first + turn * skip) % SIZE
            if left[each] and at in free - {slot for slot, _ in found}:
                found.append((at, each))
                left[each] -= 1
    return found


@pytest.mark.parametrize("slots", [1, 5, 60, 400, 1004])
def test_each_takes_the_first_free_ones_it_comes_to(slots: int) -> None:
    dice = random.Random(slots)
    names = keys(30)
    free = set(dice.sample(range(SIZE), slots))
    due = dict(collections.Counter(dice.randrange(len(names)) for _ in free))
    found = rendezvous.taken(free, due, names, SIZE)
    assert found == one_after_the_other(free, due, names)
    assert {at for at, _ in found} == free
    assert collections.Counter(each for _, each in found) == due

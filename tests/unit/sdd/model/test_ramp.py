"""A member's share grows in ten steps, and nobody else's changes meanwhile."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdd.model import ramp


@pytest.mark.parametrize(
    ("passed", "step"),
    [(0.0, 1), (2.9, 1), (6.0, 2), (15.0, 5), (29.9, 9), (30.0, 10), (1e9, 10)],
)
def test_a_share_grows_from_a_tenth_to_the_whole(passed: float, step: int) -> None:
    assert ramp.step(30.0, 1000.0, 1000.0 + passed) == step


def test_a_clock_that_was_set_back_a_little_waits_and_a_lot_holds_nobody_up() -> None:
    assert ramp.step(30.0, 1000.0, 990.0) == 1
    assert ramp.step(30.0, 1000.0, 900.0) == ramp.STEPS


def test_without_a_slow_start_everybody_gets_all() -> None:
    assert ramp.step(0.0, 1000.0, 1000.0) == ramp.STEPS


@given(st.floats(0.1, 86400), st.floats(0, 2), st.floats(0, 2e9))
def test_the_next_step_comes_when_it_is_said_and_the_last_one_ends_it(
    slow_s: float, part: float, since: float
) -> None:
    now = since + slow_s * part
    at, next_s = ramp.step(slow_s, since, now), ramp.next_s(slow_s, since, now)
    if at == ramp.STEPS:
        assert next_s == math.inf
    else:
        assert 0 < next_s <= slow_s * 2 / ramp.STEPS + 0.01
        assert ramp.step(slow_s, since, now + next_s) > at


def test_weights_are_tenths_and_zero_stays_zero() -> None:
    assert ramp.weights([(1, 10), (1, 1), (3, 5), (0, 1)]) == [10, 1, 15, 0]
    assert ramp.weights([(1, 10)]) == [10]
    assert ramp.weights([]) == []


def test_weights_too_heavy_for_tenths_are_scaled_down_and_never_to_nothing() -> None:
    assert ramp.weights([(60000, 10), (60000, 1), (1, 1)]) == [60000, 6000, 1]

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.upstream.rtt import KEPT, UNMEASURED, Rtt

LIMIT_S = 4.5


def taken(*times: float) -> Rtt:
    """Answers that took so long, each asked for a second after the one before had come."""
    rtt, now = UNMEASURED, 0.0
    for each in times:
        now += 1 + each
        rtt = rtt.after(now - each, now, LIMIT_S)
    return rtt


def test_nothing_is_known_before_the_first() -> None:
    assert UNMEASURED.seconds == 0


@pytest.mark.parametrize("quick", range(1, KEPT - 1))
def test_one_late_answer_is_forgotten_with_the_next_quick_one(quick: int) -> None:
    assert taken(2.0, *[0.01] * quick).seconds == pytest.approx(0.01)
    assert taken(*[0.01] * quick, 2.0).seconds == pytest.approx(0.01)


def test_what_a_hung_server_answers_at_one_moment_is_one_measurement() -> None:
    rtt = taken(0.01, 0.01)
    for asked_at in (10.0, 10.4, 11.6, 12.0):
        rtt = rtt.after(asked_at, 13.0 + asked_at / 1000, LIMIT_S)
    assert rtt.taken[2:] == pytest.approx((3.01,))
    assert rtt.seconds == pytest.approx(0.01)


def test_of_questions_that_overlap_the_slow_ones_count_as_well() -> None:
    chance = random.Random(1)
    rtt, slow = UNMEASURED, 0
    asked = [(at / 50, chance.random() < 0.7) for at in range(5000)]
    answers = sorted((at + (0.6 if is_slow else 0.002), at) for at, is_slow in asked)
    for now, asked_at in answers:
        rtt = rtt.after(asked_at, now, LIMIT_S)
        slow += rtt.seconds > 0.5
    assert slow > 0.6 * len(asked)


def test_a_server_that_moved_away_is_known_to_after_half_of_what_is_kept() -> None:
    assert taken(*[0.01] * 20, *[0.3] * (KEPT // 2 + 1)).seconds == pytest.approx(0.3)


def test_a_machine_that_slept_took_no_hours() -> None:
    assert UNMEASURED.after(0.0, 7200.0, LIMIT_S).seconds == LIMIT_S


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30))
def test_it_is_one_of_the_last(times: list[float]) -> None:
    rtt = taken(*times)
    assert len(rtt.taken) == min(len(times), KEPT)
    lasts = [min(each, LIMIT_S) for each in times[-KEPT:]]
    assert min(lasts) - 1e-6 <= rtt.seconds <= max(lasts) + 1e-6

"""The bound on foreign questions a second."""

import hypothesis
from hypothesis import strategies

from resolver.upstream import bucket


def test_a_burst_of_two_seconds_and_then_the_rate() -> None:
    one = bucket.Bucket()
    assert [one.take(10, now=50.0) for _ in range(21)] == [True] * 20 + [False]
    assert [one.take(10, now=50.5) for _ in range(6)] == [True] * 5 + [False]


def test_without_a_rate_there_is_no_bound() -> None:
    one = bucket.Bucket()
    assert all(one.take(0, now=1.0) for _ in range(10_000))


@hypothesis.given(
    strategies.integers(1, 50), strategies.lists(strategies.floats(0, 3), max_size=300)
)
def test_never_more_than_the_burst_and_the_rate(rate: int, pauses: list[float]) -> None:
    one, now, taken = bucket.Bucket(), 7.0, 0
    for pause in pauses:
        now += pause
        taken += one.take(rate, now)
        assert taken <= rate * (bucket.BURST_S + now - 7.0) + 0.001

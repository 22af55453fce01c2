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


def test_replies_that_take_long_to_read_are_charged_to_who_asks() -> None:
    buckets = bucket.Buckets()
    assert all(buckets.take("s", 10, now=50.0) for _ in range(10))
    buckets.charge("s", bucket.READ_S)  # as usual answers take at most
    assert buckets.take("s", 10, now=50.0)
    buckets.charge("s", 14.5 * bucket.READ_S)
    assert not buckets.take("s", 10, now=50.0)
    assert not buckets.take("s", 10, now=50.5)
    assert buckets.take("s", 10, now=50.7)
    assert buckets.take("other", 10, now=50.0)
    buckets.charge("unseen", 1.0)
    assert buckets.take("unseen", 10, now=50.0)


def test_however_long_they_took_it_is_over_in_a_second() -> None:
    buckets = bucket.Buckets()
    assert buckets.take("s", 10, now=50.0)
    for _ in range(1000):
        buckets.charge("s", 1.0)
    assert not buckets.take("s", 10, now=51.0)
    assert buckets.take("s", 10, now=51.2)


def test_who_has_no_bound_is_charged_nothing() -> None:
    buckets = bucket.Buckets()
    assert buckets.take("s", 0, now=1.0)
    buckets.charge("s", 9.0)
    assert buckets.take("s", 0, now=1.0)

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


def test_replies_of_many_records_are_charged_to_who_asks() -> None:
    all_of_them = bucket.Buckets()
    assert all(all_of_them.take("s", 10, now=50.0) for _ in range(10))
    all_of_them.charge("s", bucket.EACH)  # as usual answers have
    assert all_of_them.take("s", 10, now=50.0)
    all_of_them.charge("s", 19 * bucket.EACH)
    assert not all_of_them.take("s", 10, now=50.0)
    assert not all_of_them.take("s", 10, now=50.9)
    assert all_of_them.take("s", 10, now=51.1)
    assert all_of_them.take("other", 10, now=50.0)
    all_of_them.charge("unseen", 1000)
    assert all_of_them.take("unseen", 10, now=50.0)


def test_who_has_no_bound_is_charged_nothing() -> None:
    all_of_them = bucket.Buckets()
    assert all_of_them.take("s", 0, now=1.0)
    all_of_them.charge("s", 1024)
    assert all_of_them.take("s", 0, now=1.0)

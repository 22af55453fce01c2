"""Who has the lowest number, against a look at all of them."""

from hypothesis import given
from hypothesis import strategies as st

from resolver.upstream import ranking

STEPS = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 3)), max_size=400)


@given(STEPS)
def test_the_first_is_the_earliest_of_those_with_the_lowest_number(
    steps: list[tuple[str, int | None]],
) -> None:
    ranked, held = ranking.Ranking(), dict[str, int]()
    for name, number in steps:
        if number is None:
            ranked.drop(name)
            held.pop(name, None)
        else:
            ranked.put(name, number)
            held[name] = number
        assert ranked.first() == min(held, key=held.__getitem__, default=None)


def test_numbers_that_change_all_the_time_take_no_room() -> None:
    ranked = ranking.Ranking()
    for turn in range(10_000):
        ranked.put("one", turn)
        ranked.put("two", -1)
    assert len(ranked._heap) <= 2 * 2 + ranking.SPARE + 1
    assert ranked.first() == "two"

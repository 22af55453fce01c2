"""Which keys are over, against a look at all of them."""

from hypothesis import given
from hypothesis import strategies as st

from resolver.upstream import ends

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("put", "drop", "over")), st.integers(0, 9), st.floats(0, 4 * ends.SPAN_S)
    ),
    max_size=200,
)


@given(STEPS)
def test_each_key_is_told_once_and_never_before_its_end(
    steps: list[tuple[str, int, float]],
) -> None:
    kept: ends.Ends[int] = ends.Ends()
    model: dict[int, float] = {}
    now = 0.0
    for what, key, number in steps:
        if what == "put" and key not in model:
            model[key] = now + number
            kept.put(key, model[key])
        elif what == "drop":
            assert kept.drop(key, model.get(key, number)) == (key in model)
            model.pop(key, None)
        elif what == "over":
            now += number
            told = kept.over(now)
            assert len(set(told)) == len(told)
            assert all(model.pop(each) <= now for each in told)
            assert all(end > now - ends.SPAN_S for end in model.values())
    for key, end in model.items():
        assert kept.drop(key, end)
    assert not kept

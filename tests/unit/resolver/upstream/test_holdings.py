"""Whose key goes first, against a look at all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.upstream import holdings

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("take", "drop", "use", "leave")),
        st.sampled_from("abc"),
        st.integers(0, 5),
        st.integers(1, 9),
    ),
    max_size=200,
)


@given(STEPS)
def test_the_first_is_the_least_used_of_whoever_holds_most(
    steps: list[tuple[str, str, int, int]],
) -> None:
    held: holdings.Holdings[tuple[str, int]] = holdings.Holdings()
    model: dict[str, dict[tuple[str, int], int]] = {}
    for what, holder, number, size in steps:
        key, keys = (holder, number), model.setdefault(holder, {})
        if what == "take" and key not in keys and key not in model.get(holdings.NOBODY, {}):
            held.take(holder, key, size)
            keys[key] = size
        elif what == "drop" and key in keys:
            assert held.drop(holder, key) == keys.pop(key)
        elif what == "use" and key in keys:
            held.use(holder, key)
            keys[key] = keys.pop(key)
        elif what == "leave":
            assert held.leave(holder) == tuple(keys)
            model.setdefault(holdings.NOBODY, {}).update(model.pop(holder))
        most = max((sum(each.values()) for each in model.values()), default=0)
        if most == 0:
            with pytest.raises(LookupError):
                held.first()
        else:
            firsts = [next(iter(each)) for each in model.values() if sum(each.values()) == most]
            assert held.first() in firsts


def test_who_has_nothing_leaves_nothing() -> None:
    held: holdings.Holdings[int] = holdings.Holdings()
    assert held.leave("a") == ()
    held.take("a", 1, 10)
    assert held.leave("b") == ()
    assert held.drop("a", 1) == 10

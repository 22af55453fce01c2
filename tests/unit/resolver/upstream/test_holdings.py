"""Whose key goes first, against a look at all of them."""

import weakref

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
        assert len(held) == sum(map(bool, model.values()))
        most = max((sum(each.values()) for each in model.values()), default=0)
        assert held.most() == most
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


class Holder(str):
    """One of which one can see that nobody has it any more."""

    __slots__ = ("__weakref__",)


def test_of_whoever_has_nothing_any_more_nothing_is_kept() -> None:
    held: holdings.Holdings[int] = holdings.Holdings()

    def come_and_go(number: int) -> "weakref.ref[Holder]":
        one = Holder(f"box{number}")
        held.take(one, number, 10)
        if number % 2:
            held.leave(one)
            held.drop(holdings.NOBODY, number)
        else:
            held.drop(one, number)
        return weakref.ref(one)

    seen = [come_and_go(number) for number in range(10)]
    assert not any(each() for each in seen)
    assert len(held) == held.most() == 0


def test_what_is_nobody_s_cannot_be_left_to_nobody_once_more() -> None:
    held: holdings.Holdings[str] = holdings.Holdings()
    held.take(holdings.NOBODY, "x", 7)
    assert held.leave(holdings.NOBODY) == ("x",)
    assert held.most() == 7

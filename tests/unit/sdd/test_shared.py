"""Equal values are one object, unless they are of different types."""

from sdd import shared


def test_equal_values_are_one_object() -> None:
    one, other = tuple("ab"), tuple(reversed("ba"))
    assert one is not other
    assert shared.same(one) is shared.same(other) is one


def test_values_of_different_types_stay_what_they_are() -> None:
    assert shared.same(1) is not shared.same(True)
    assert isinstance(shared.same(1.0), float)


def test_what_was_not_asked_for_lately_is_forgotten() -> None:
    first = tuple("first")
    shared.same(first)
    for each in range(shared.REMEMBERED):
        shared.same((each, "filler"))
    again = tuple("first")
    assert shared.same(again) is again

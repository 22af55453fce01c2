"""Groups amended are the groups made anew."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sdd import groups


@dataclass(frozen=True, eq=False)
class Thing:
    owner: int
    rank: int


THINGS = st.lists(st.builds(Thing, owner=st.integers(0, 3), rank=st.integers(0, 4)), max_size=12)


def owner(one: Thing) -> int:
    return one.owner


def rank(one: Thing) -> int:
    return one.rank


@given(THINGS, THINGS, st.data())
def test_amended_groups_are_those_made_anew(
    there: list[Thing], come: list[Thing], data: st.DataObject
) -> None:
    gone = [each for each in there if data.draw(st.booleans())]
    amended = groups.regrouped(groups.grouped(there, owner, rank), gone, come, owner, rank)
    left = [each for each in there if each not in gone]
    again = groups.grouped([*left, *come], owner, rank)
    assert amended.keys() == again.keys()
    for of, those in again.items():
        assert set(amended[of]) == set(those)
        assert [each.rank for each in amended[of]] == [each.rank for each in those]


def test_a_group_that_nothing_happened_to_is_the_same_object() -> None:
    first, second = Thing(1, 1), Thing(2, 1)
    before = groups.grouped([first, second], owner, rank)
    after = groups.regrouped(before, [first], [], owner, rank)
    assert after[2] is before[2]
    assert 1 not in after

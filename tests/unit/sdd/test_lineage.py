"""Versions of a mapping tell truly by which keys they differ, near and far."""

from hypothesis import given
from hypothesis import strategies as st

from sdd import affected, lineage
from sdd.lineage import Version

CHANGES = st.dictionaries(st.integers(0, 5), st.none() | st.integers(0, 3), max_size=3)


@given(st.lists(CHANGES, max_size=20), st.data())
def test_what_differs_between_any_two_versions_is_found(
    steps: list[dict[int, int | None]], data: st.DataObject
) -> None:
    versions = [Version({1: 1})]
    for each in steps:
        versions.append(lineage.successor(versions[-1], each))
    one, other = (data.draw(st.sampled_from(versions)) for _ in range(2))
    differing = {key for key in range(6) if one.get(key) != other.get(key)}
    known = lineage.between(one, other)
    assert known is None or differing <= set(known)
    assert differing <= affected.changed(one, other) <= set(range(6))
    assert set(affected.differing(one, other)) <= other.keys()
    apart = abs(versions.index(one) - versions.index(other))
    assert known is not None or apart > 0


def test_near_versions_need_no_comparison_and_far_ones_do() -> None:
    first: Version[int, int] = Version({})
    now = first
    for each in range(lineage.REMEMBERED):
        now = lineage.successor(now, {each: each})
    assert lineage.between(first, now) == dict.fromkeys(range(lineage.REMEMBERED))
    assert lineage.between(now, first) == lineage.between(first, now)
    beyond = lineage.successor(now, {99: 1})
    assert lineage.between(first, beyond) is None
    assert affected.changed(first, beyond) == beyond.keys()


def test_siblings_know_nothing_of_each_other() -> None:
    root: Version[int, int] = Version({1: 1})
    one, other = lineage.successor(root, {2: 2}), lineage.successor(root, {3: 3})
    assert lineage.between(one, other) is None
    assert affected.changed(one, other) == {2, 3}


def test_a_large_step_is_not_carried_along() -> None:
    root: Version[int, int] = Version({})
    large = lineage.successor(root, {each: each for each in range(5000)})
    after = lineage.successor(large, {1: None})
    assert lineage.between(large, after) == {1: None}
    assert lineage.between(root, after) is None


def test_a_copy_of_ones_own_leaves_the_version_as_it_is() -> None:
    root = Version({1: 1})
    mine = lineage.thawed(root)
    mine[2] = 2
    assert (root, type(mine)) == ({1: 1}, dict)

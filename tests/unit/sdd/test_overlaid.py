"""Versions of a large mapping: each stays right, and costs what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdd.overlaid import Draft, Overlaid

CHANGES = st.dictionaries(st.integers(0, 99), st.none() | st.integers(0, 3), max_size=40)


@given(st.dictionaries(st.integers(0, 99), st.integers(0, 3)), st.lists(CHANGES, max_size=12))
def test_every_version_stays_the_mapping_that_it_was(
    first: dict[int, int], steps: list[dict[int, int | None]]
) -> None:
    versions, wanted = [Overlaid(dict(first))], [first]
    for each in steps:
        versions.append(versions[-1].changed(each))
        both = {**wanted[-1], **each}
        wanted.append({key: value for key, value in both.items() if value is not None})
    for version, plain in zip(versions, wanted, strict=True):
        assert version == plain
        assert len(version) == len(plain)
        assert dict(version.items()) == dict(version) == plain
        for key in range(100):
            assert (key in version) == (key in plain)
            assert version.get(key) == plain.get(key)
            assert version.get(key, 7) == plain.get(key, 7)


def test_what_is_not_there_is_a_key_error_also_over_something() -> None:
    gone = Overlaid({1: 1}).changed({1: None})
    for key in (1, 2):
        with pytest.raises(KeyError, match=str(key)):
            gone[key]


def test_a_draft_sees_what_it_changes_and_leaves_what_was() -> None:
    before = Overlaid({1: 1, 2: 2})
    draft = Draft(before)
    draft.put(1, None)
    draft.put(3, 3)
    assert (draft.get(1), draft.get(2), draft.get(3)) == (None, 2, 3)
    assert [key in draft for key in (1, 2, 3)] == [False, True, True]
    assert [dict(each) for each in (draft.done(), before)] == [{2: 2, 3: 3}, {1: 1, 2: 2}]
    draft.put(3, None)
    assert draft.news == {1: None}


def test_nothing_new_is_the_very_version() -> None:
    before = Overlaid({1: 1})
    assert before.changed({}) is before


def test_a_change_copies_no_more_than_what_changed_lately() -> None:
    """Counted, not timed: the objects that versions beside a large one hold of their own."""
    now = Overlaid(dict.fromkeys(range(100_000), 0))
    whole = 0
    for each in range(1000):
        before, now = now, now.changed({each: 1})
        whole += now.base is not before.base
    assert 1 <= whole <= 4  # 100 000 are copied once in 316 changes

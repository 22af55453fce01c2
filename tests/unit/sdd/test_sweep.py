"""Everything is looked at within a round, a large node in parts, however passes and kicks come."""

from hypothesis import given
from hypothesis import strategies as st

from sdd.model.look import EVERYWHERE, NOWHERE, PARTS, Look
from sdd.sweep import SMALL, Sweep

MANY = SMALL + 1
ROUND_S = 20.0
HERE = Look(spaces=frozenset({"/a"}))


def started(count: int) -> Sweep:
    sweep = Sweep(ROUND_S)
    assert sweep.look(0, count, NOWHERE, again=False) == EVERYWHERE
    return sweep


def test_a_small_node_is_looked_at_at_once_when_the_round_is_over() -> None:
    sweep = started(SMALL)
    assert sweep.wait_s(5, SMALL) == 15
    assert sweep.look(19, SMALL, HERE, again=False) == HERE
    assert sweep.look(20, SMALL, NOWHERE, again=False) == EVERYWHERE


def test_a_small_node_is_looked_at_after_a_failure_and_when_news_are_lost() -> None:
    sweep = started(SMALL)
    assert sweep.look(1, SMALL, NOWHERE, again=True) == EVERYWHERE
    assert sweep.look(2, SMALL, EVERYWHERE, again=False) == EVERYWHERE


def test_a_large_node_is_looked_at_part_by_part() -> None:
    sweep = started(MANY)
    assert sweep.wait_s(0, MANY) == ROUND_S / PARTS
    assert sweep.look(0.5, MANY, HERE, again=True) == HERE
    looks = [sweep.look(at, MANY, HERE, again=False) for at in range(1, PARTS + 1)]
    assert all(look.spaces == HERE.spaces for look in looks)
    assert [set(look.parts) for look in looks] == [{part} for part in range(PARTS)]


def test_lost_news_hurry_through_all_parts_of_a_large_node() -> None:
    sweep = started(MANY)
    looks = [sweep.look(0.1, MANY, EVERYWHERE, again=False)]
    while sweep.wait_s(0.1, MANY) == 0:
        looks.append(sweep.look(0.1, MANY, NOWHERE, again=False))
    assert len(looks) == PARTS
    assert {part for look in looks for part in look.parts} == set(range(PARTS))
    assert not any(look.everywhere for look in looks)


def test_a_defect_makes_the_next_look_go_everywhere() -> None:
    sweep = started(MANY)
    sweep.forget()
    assert sweep.look(0.1, MANY, NOWHERE, again=True) == EVERYWHERE


@given(steps=st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.booleans()), max_size=80))
def test_no_part_waits_for_longer_than_two_rounds(steps: list[tuple[float, bool, bool]]) -> None:
    sweep, now, seen = started(MANY), 0.0, dict.fromkeys(range(PARTS), 0.0)
    for pause, again, lost in steps:
        due = sweep.wait_s(now, MANY)
        now += min(pause, due) if due else 0.1  # a pass takes its time as well
        look = sweep.look(now, MANY, EVERYWHERE if lost else NOWHERE, again=again)
        seen |= dict.fromkeys(range(PARTS) if look.everywhere else look.parts, now)
        assert now - min(seen.values()) <= 1.5 * ROUND_S


@given(st.text())
def test_each_place_belongs_to_one_part(name: str) -> None:
    parts = [Look(parts=frozenset({part})) for part in range(PARTS)]
    assert sum(look.covers(name) for look in parts) == 1
    assert sum(look.covers_link(name) for look in parts) == 1

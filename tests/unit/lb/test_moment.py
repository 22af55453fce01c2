"""Time enters what is balanced in one place, and changes nobody who has no slow start."""

import math
from dataclasses import replace

from lb import moment
from lb.desired import desired, nothing
from sdd.model.health import Status
from sdd.state import ClusterState, Object, Put
from tests.unit.lb import states

NAMES = ("web1", "web2")
TOWN: tuple[Object, ...] = (
    states.net("front", 1),
    states.box("client"),
    states.plug("client", "front", "10.0.1.9/24"),
    *(states.box(name) for name in NAMES),
    *(states.plug(name, "front", f"10.0.1.{at}/24") for at, name in enumerate(NAMES, start=1)),
)
SLOW = replace(states.svc("web", "front", "10.0.1.100"), slow_start_s=30.0)
OLD = states.member("web", "web1", "front")
NEW = replace(states.member("web", "web2", "front"), created=1000.0)


def weights(state: ClusterState, now: float) -> list[int]:
    seen = moment.at(state, now).state
    wanted = desired(seen, nothing(states.NODE)).sandboxes
    (found,) = next(
        each for each in wanted.values() if each.name == "client"
    ).table.services.values()
    return [each.weight for each in found.backends]


def test_a_state_without_slow_start_is_the_same_object() -> None:
    plain = states.state(*TOWN, replace(SLOW, slow_start_s=0.0), OLD, NEW)
    assert moment.at(plain, 1000.0) == moment.Moment(plain, math.inf)
    assert moment.at(plain, 1000.0).state is plain


def test_who_turns_up_grows_and_the_others_stay() -> None:
    state = states.state(*TOWN, SLOW, OLD, NEW)
    found = [weights(state, 1000.0 + passed) for passed in (0, 6, 15, 29, 30, 999)]
    assert found == [[10, 1], [10, 2], [10, 5], [10, 9], [10, 10], [10, 10]]


def test_the_next_moment_is_named_until_all_have_arrived() -> None:
    state = states.state(*TOWN, SLOW, OLD, NEW)
    assert 5.9 < moment.at(state, 1000.0).again_s < 6.1
    assert 2.9 < moment.at(state, 1006.0).again_s < 3.1
    assert moment.at(state, 1030.0).again_s == math.inf


def test_a_checked_member_grows_from_when_it_came_up() -> None:
    checked = replace(SLOW, health=states.CHECKED)
    up = replace(states.verdict("web", "web1", "front", Status.UP), since=0.0)
    back = replace(states.verdict("web", "web2", "front", Status.UP), since=2000.0)
    state = states.state(*TOWN, checked, OLD, NEW, up, back)
    assert weights(state, 2003.0) == [10, 1]
    assert weights(state, 2015.0) == [10, 5]


def test_who_serves_though_it_is_down_does_not_start_slowly() -> None:
    panic = replace(SLOW, health=states.CHECKED, panic=100)
    down = [
        replace(states.verdict("web", name, "front", Status.DOWN), since=2000.0) for name in NAMES
    ]
    assert weights(states.state(*TOWN, panic, OLD, NEW, *down), 2000.0) == [10, 10]


def test_the_one_that_is_up_is_not_held_back_while_no_check_is_believed() -> None:
    panic = replace(SLOW, health=states.CHECKED, panic=70)
    down = states.verdict("web", "web1", "front", Status.DOWN)
    back = replace(states.verdict("web", "web2", "front", Status.UP), since=2000.0)
    state = states.state(*TOWN, panic, OLD, NEW, down, back)
    assert weights(state, 2003.0) == [10, 10]
    assert moment.at(state, 2003.0).again_s == math.inf
    up = replace(states.verdict("web", "web1", "front", Status.UP), since=1.0)
    assert weights(states.state(*TOWN, panic, OLD, NEW, up, back), 2003.0) == [10, 1]


def test_weight_and_drain_count_as_before() -> None:
    weighed = replace(NEW, weight=4)
    assert weights(states.state(*TOWN, SLOW, OLD, weighed), 1015.0) == [10, 20]
    leaving = replace(NEW, drains_until=2e9)
    assert weights(states.state(*TOWN, SLOW, OLD, leaving), 1015.0) == [10, 0]


def test_what_is_derived_step_by_step_is_what_is_derived_at_once() -> None:
    state = states.state(*TOWN, SLOW, OLD, NEW)
    followed = nothing(states.NODE)
    for passed in (0, 1, 8, 13, 30, 31):
        seen = moment.at(state, 1000.0 + passed).state
        followed = desired(seen, followed)
        fresh = desired(seen, nothing(states.NODE))
        assert {each.name: each.table for each in followed.sandboxes.values()} == {
            each.name: each.table for each in fresh.sandboxes.values()
        }
    again = state.apply(state.revision, (Put(NEW),))
    assert weights(again, 1031.0) == [10, 10]

"""What is derived once for all who ask."""

from dataclasses import replace

from lb.derived import Derived
from lb.desired import desired, nothing
from sdd.model import ids
from sdd.state import EMPTY, Put
from tests.unit.lb import states
from tests.unit.lb.test_desired import TOWN, WEB


def test_the_same_state_is_derived_once_and_another_as_if_alone() -> None:
    derived = Derived(states.NODE)
    first = states.state(*TOWN, WEB, states.member("web", "web1", "front"))
    assert derived.of(first) is derived.of(first)
    assert derived.of(first).sandboxes == desired(first, nothing(states.NODE)).sandboxes
    heavier = replace(states.member("web", "web1", "front"), weight=7)
    later = first.apply(ids.Revision(2), [Put(heavier)])
    assert derived.of(later).sandboxes == desired(later, nothing(states.NODE)).sandboxes
    # Whoever is behind and asks for what was before gets just that.
    assert derived.of(first).sandboxes == desired(first, nothing(states.NODE)).sandboxes


def test_of_no_state_nothing_is_derived() -> None:
    assert Derived(states.NODE).of(EMPTY) == nothing(states.NODE)

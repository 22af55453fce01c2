"""What changed of the checks is found without a look at those that did not."""

import pytest

from lb.checked import checked, nothing
from sdd.affected import changed
from sdd.model import health, ids
from sdd.state import ClusterState, Object, Put
from tests.support import work_of
from tests.unit.lb import ingress_states, states

KEY = (ids.ServiceId("web"), ids.EndpointId("box0-front"))


def town(count: int) -> ClusterState:
    """So many members of one service."""
    boxes = [
        each
        for at in range(count)
        for each in (
            states.box(f"box{at}"),
            states.plug(f"box{at}", "front", f"10.0.{at // 200}.{at % 200 + 1}/16"),
            states.member("web", f"box{at}", "front"),
        )
    ]
    web = states.svc("web", "front", "10.0.9.1", check=states.CHECKED)
    return states.state(states.net("front", 0), web, *boxes).indexed()


def after(state: ClusterState, *news: Object) -> ClusterState:
    return state.apply(ids.Revision(state.revision + 1), map(Put, news)).indexed()


@pytest.mark.parametrize(
    "news",
    [
        pytest.param(states.verdict("web", "box0", "front", health.Status.DOWN), id="a verdict"),
        pytest.param(states.member("web", "box0", "front", weight=9), id="a weight"),
        pytest.param(states.plug("box0", "front", "10.0.8.1/16"), id="an address"),
        pytest.param(states.net("other", 9), id="a network"),
    ],
)
def test_a_change_costs_the_same_among_few_and_among_many(news: Object) -> None:
    def work(count: int) -> int:
        state = town(count)
        first = checked(state, nothing(states.NODE))
        later = after(state, news)
        return work_of(lambda: checked(later, first))

    assert work(400) == work(4)


def test_a_verdict_changes_no_check() -> None:
    first = checked(town(2), nothing(states.NODE))
    down = states.verdict("web", "box0", "front", health.Status.DOWN)
    assert checked(after(first.state, down), first).checks is first.checks


def test_what_changed_is_known_and_the_rest_is_the_same_object() -> None:
    first = checked(town(2), nothing(states.NODE))
    news = states.plug("box0", "front", "10.0.8.1/16")
    second = checked(after(first.state, news), first)
    assert changed(first.checks, second.checks) == {KEY}
    assert str(second.checks[KEY].address) == "10.0.8.1"


def test_all_are_looked_at_when_the_way_through_ingress_is_another() -> None:
    shop = ingress_states.shop(health=states.CHECKED)
    first = checked(ingress_states.town(shop), nothing(states.NODE))
    box, gateway, end = ingress_states.ingress_box("sbox", 3)
    second = checked(after(first.state, box, gateway, end), first)
    (check,) = second.checks.values()
    assert check.gate is not None
    assert str(check.gate.source(4)) == "172.18.0.3"

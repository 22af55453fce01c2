"""Members whose checks cannot be made are told of until they can."""

import structlog.testing

from sdd.control.unchecked import Unchecked
from sdd.model import ids
from sdd.model.progress import Backend, Outcome
from sdd.state import ClusterState, Object
from tests.unit.lb import states

TOWN: tuple[Object, ...] = (
    states.net("front", 1),
    *(states.box(name) for name in ("web1", "web2")),
    states.plug("web1", "front", "10.0.1.1/24"),
    states.plug("web2", "front", "10.0.1.2/24"),
    states.svc("web", "front", "10.0.1.100"),
    *(states.member("web", name, "front") for name in ("web1", "web2")),
)
FIRST, SECOND = ((ids.ServiceId("web"), ids.EndpointId(f"web{each}-front")) for each in (1, 2))
FILES = "too many open files"


def _reached() -> dict[Backend, Outcome]:
    return {Backend.LB: Outcome(revision=ids.Revision(1))}


def test_each_is_a_failure_of_the_balancer_until_it_can_be_checked() -> None:
    words = Unchecked(lambda: states.state(*TOWN))
    seen = words.progress(_reached)
    assert seen() == _reached()
    words.turned(FIRST, FILES)
    words.turned(SECOND, FILES)
    found = seen()[Backend.LB].failures
    assert [each.subject for each in found] == ["web1-front", "web2-front"]
    assert {(each.sentence, each.code) for each in found} == {
        (
            f"its checks for service web cannot be made, so its health stays as it was: {FILES}",
            "SDD-HEALTH-UNMADE",
        )
    }
    assert words.reasons() == {FIRST: FILES, SECOND: FILES}
    words.turned(FIRST, "")
    words.turned(SECOND, "")
    assert seen() == _reached()
    assert words.progress(dict)() == {}


def test_a_reason_is_logged_once_however_many_members_it_concerns() -> None:
    words = Unchecked(lambda: states.state(*TOWN))
    with structlog.testing.capture_logs() as logged:
        words.turned(FIRST, FILES)
        words.turned(SECOND, FILES)
        words.turned(FIRST, "operation not permitted")
        words.turned(FIRST, "")
        words.turned(SECOND, "")
    assert [(each["event"], each["member"], each["why"]) for each in logged] == [
        ("health.unchecked", "web1", FILES),
        ("health.unchecked", "web1", "operation not permitted"),
        ("health.checked", "web1", "operation not permitted"),
        ("health.checked", "web2", FILES),
    ]


def test_who_is_gone_is_told_by_ids() -> None:
    words = Unchecked(ClusterState)
    with structlog.testing.capture_logs() as logged:
        words.turned(FIRST, FILES)
    assert (logged[0]["service"], logged[0]["member"]) == ("web", "web1-front")

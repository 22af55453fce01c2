"""What is derived before the first sandbox joins a network."""

from dataclasses import replace
from ipaddress import ip_address

from lb.derived import renewed
from lb.desired import Desired, desired, nothing
from sdd.model import ids, service
from sdd.state import ClusterState, Gone, Object, Put
from tests.unit.lb import states

FRONT, BACK = ids.NetworkId("front"), ids.NetworkId("back")
WEB, API = ip_address("10.0.1.100"), ip_address("10.0.1.101")
FAR: tuple[Object, ...] = (
    states.net("front", 1),
    states.net("back", 2),
    states.box("far", node=states.ELSEWHERE),
    states.plug("far", "front", "10.0.1.1/24", node=states.ELSEWHERE),
    states.svc("web", "front", str(WEB)),
    states.svc("api", "front", str(API), number=2),
    states.member("web", "far", "front", node=states.ELSEWHERE),
)
NEW: tuple[Object, ...] = (states.box("new"), states.plug("new", "front", "10.0.1.9/24"))
HEAVIER = states.member("web", "far", "front", weight=7, node=states.ELSEWHERE)


def alone() -> ClusterState:
    """Nobody of this node is anywhere."""
    return states.state(*FAR)


def joined(revision: int = 2) -> ClusterState:
    return alone().apply(ids.Revision(revision), map(Put, NEW))


def first() -> Desired:
    return desired(alone(), nothing(states.NODE))


def test_whoever_joins_finds_the_services_of_the_network_derived() -> None:
    before = first()
    assert before.sandboxes == {}
    now = desired(joined(), before)
    assert now.sandboxes[ids.SandboxId("new")].table.services is before.networks[FRONT].services
    assert now.sandboxes == desired(joined(), nothing(states.NODE)).sandboxes


def test_a_change_where_nobody_is_yet_is_of_its_service_alone() -> None:
    before = first()
    later = alone().apply(ids.Revision(2), [Put(HEAVIER)])
    now = desired(later, before)
    was, found = before.networks[FRONT].services, now.networks[FRONT].services
    assert [each.weight for each in found[WEB].backends] == [7]
    assert found[API] is was[API]
    assert list(renewed(before, now)) == [found[WEB]]
    assert {each.vip for each in renewed(nothing(states.NODE), now)} == {WEB, API}
    assert list(renewed(now, now)) == []


def test_a_network_that_no_change_reaches_is_the_same_object() -> None:
    before = first()
    other = alone().apply(ids.Revision(2), [Put(states.svc("db", "back", "10.0.2.100", number=3))])
    now = desired(other, before)
    assert now.networks[FRONT] is before.networks[FRONT]
    assert now.networks[BACK].services.keys() == {ip_address("10.0.2.100")}
    gone = other.apply(ids.Revision(3), [Gone(service.Service, "db")])
    after = desired(gone, now).networks
    assert BACK not in after or not after[BACK].services


def test_what_cannot_be_made_is_told_where_somebody_would_use_it() -> None:
    odd = replace(states.svc("web", "front", str(WEB)), persistence_s="two")  # type: ignore[arg-type]  # none of ours wrote it
    unused = alone().apply(ids.Revision(2), [Put(odd)])
    before = desired(unused, nothing(states.NODE))
    assert before.failures == ()
    now = desired(unused.apply(ids.Revision(3), map(Put, NEW)), before)
    assert [each.subject for each in now.failures] == ["web"]
    assert now.sandboxes[ids.SandboxId("new")].table.services.keys() == {API}

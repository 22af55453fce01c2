"""Ports that went are remembered for whoever came by them, and no longer than they matter."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from lb.ports.former import MOST, Former
from lb.ports.table import Bind, Entry
from lb.ports.way import Way
from lb.table import Backend
from sdd.model import ids, service
from sdd.model.port import Protocol
from sdd.state import ClusterState, Gone
from tests.unit.lb import states
from tests.unit.lb.ports import towns

KEY = (ids.ServiceId("web"), ids.EndpointId("one-front"))
WEB = towns.svc("web", towns.port(8080), towns.port(8081))
BIND = Bind(version=4, protocol=Protocol.TCP, number=8080)
WAY = Way(BIND, ip_address("10.1.0.2"), 80)


def began() -> ClusterState:
    plug = states.plug("one", "front", "10.1.0.2/24")
    member = states.member("web", "one", "front")
    return states.state(*towns.GROUND, towns.box("one"), plug, WEB, member)


def without(state: ClusterState) -> ClusterState:
    return towns.later(state, replace(WEB, ports=WEB.ports[1:]))


def test_a_port_that_went_is_a_way_still() -> None:
    former, before = Former(), began()
    now = without(before)
    former.note(before, now, {})
    assert former.to(now, KEY) == {WAY}
    later = towns.later(now, replace(WEB, ports=()))
    former.note(now, later, {})
    assert former.to(later, KEY) == {WAY, WAY._replace(bind=replace(BIND, number=8081))}


def test_others_are_not_meant() -> None:
    former, before = Former(), began()
    now = without(before)
    former.note(before, now, {})
    assert not former.to(now, (ids.ServiceId("db"), KEY[1]))
    assert not former.to(now, (KEY[0], ids.EndpointId("two-front")))


def entry(target: int, address: str = "10.1.0.2") -> Entry:
    backend = Backend(address=ip_address(address), weight=1)
    return Entry(bind=BIND, subject="other", port=target, backends=(backend,))


def test_who_leads_the_same_way_anew_has_it() -> None:
    former, before = Former(), began()
    now = without(before)
    former.note(before, now, {})
    former.note(now, now, {BIND: entry(80)})
    assert not former.to(now, KEY)


@pytest.mark.parametrize("elsewhere", [entry(81), entry(80, "10.1.0.3")], ids=["target", "member"])
def test_a_port_that_leads_elsewhere_now_was_a_way(elsewhere: Entry) -> None:
    former, before = Former(), began()
    now = without(before)
    former.note(before, now, {BIND: elsewhere})
    assert former.to(now, KEY) == {WAY}


def test_a_service_that_goes_is_forgotten() -> None:
    former, before = Former(), began()
    now = without(before)
    former.note(before, now, {})
    gone = now.apply(ids.Revision(now.revision + 1), [Gone(service.Service, WEB.id)])
    former.note(now, gone, {})
    former.note(gone, towns.later(gone, WEB), {})
    assert not former.to(now, KEY)


def test_a_member_that_goes_is_forgotten_and_the_others_are_not() -> None:
    former, before = Former(), began()
    two = states.plug("two", "front", "10.1.0.3/24")
    before = towns.later(before, towns.box("two"), two, states.member("web", "two", "front"))
    now = without(before)
    former.note(before, now, {})
    member = service.Member
    gone = now.apply(ids.Revision(now.revision + 1), [Gone(member, KEY)])
    former.note(now, gone, {})
    back = towns.later(gone, states.member("web", "one", "front"))
    former.note(gone, back, {})
    assert not former.to(back, KEY)
    other = (KEY[0], ids.EndpointId("two-front"))
    assert former.to(back, other) == {WAY._replace(backend=ip_address("10.1.0.3"))}


def test_of_a_service_that_gives_port_after_port_the_last_are_remembered() -> None:
    former, state = Former(), began()
    for number in range(9000, 9000 + MOST + 10):
        later = towns.later(state, replace(WEB, ports=(towns.port(number),)))
        former.note(state, later, {})
        state = later
    known = {way.bind.number for way in former.to(state, KEY)}
    assert known == set(range(9009, 9009 + MOST))

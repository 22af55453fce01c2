"""Which members a node checks."""

from collections.abc import Mapping
from dataclasses import replace

from lb.checked import checked, nothing
from lb.checks import Check, said, unheard
from sdd.model import ids
from sdd.model.health import Status
from sdd.model.network import Driver
from sdd.model.service import CheckKind, HealthCheck
from sdd.state import ClusterState, MemberKey
from tests.unit.lb import ingress_states, states


def checks(state: ClusterState, node: ids.NodeId) -> Mapping[MemberKey, Check]:
    return checked(state, nothing(node)).checks


WEB = states.svc("web", "front", "10.0.1.100", check=states.CHECKED)
TOWN = (
    states.net("front", 1),
    states.box("web1"),
    states.plug("web1", "front", "10.0.1.1/24", "fd00::1/64"),
    WEB,
)
KEY = (WEB.id, states.plug("web1", "front").id)


def test_a_local_member_of_a_checked_service_is_checked_at_its_first_address() -> None:
    (check,) = checks(
        states.state(*TOWN, states.member("web", "web1", "front")), states.NODE
    ).values()
    assert (str(check.address), check.how.port) == ("10.0.1.1", 80)


def test_members_elsewhere_are_checked_elsewhere() -> None:
    away = states.member("web", "web1", "front", node=states.ELSEWHERE)
    assert not checks(states.state(*TOWN, away), states.NODE)


def test_services_without_a_check_are_left_alone() -> None:
    plain = states.svc("web", "front", "10.0.1.100")
    town = states.state(*TOWN, plain, states.member("web", "web1", "front"))
    assert not checks(town, states.NODE)


def test_what_is_on_a_bridge_is_checked_from_the_host_the_rest_from_its_own_sandbox() -> None:
    here = states.member("web", "web1", "front")
    (bridged,) = checks(states.state(*TOWN, here), states.NODE).values()
    assert (bridged.inside, bridged.link) == ("", states.plug("web1", "front").host_link)
    lan = replace(states.net("front", 1), driver=Driver.MACVLAN)
    (alone,) = checks(states.state(*TOWN, lan, here), states.NODE).values()
    assert (alone.inside, alone.link) == ("/ns/web1", "")


def test_a_command_runs_beside_its_member_wherever_that_is() -> None:
    here = states.member("web", "web1", "front")
    command = replace(WEB, health=HealthCheck(kind=CheckKind.EXEC, command="true"))
    (check,) = checks(states.state(*TOWN, command, here), states.NODE).values()
    assert check.inside == "/ns/web1"


def test_an_endpoint_that_is_gone_or_has_no_address_is_not_checked() -> None:
    assert not checks(states.state(*TOWN, states.member("web", "web2", "front")), states.NODE)
    bare = states.plug("web1", "front")
    town = states.state(*TOWN, bare, states.member("web", "web1", "front"))
    assert not checks(town, states.NODE)


def test_the_status_is_the_stored_verdict_or_starting() -> None:
    town = states.state(*TOWN, states.member("web", "web1", "front"))
    assert said(town, KEY).status is Status.STARTING
    down = states.state(*TOWN, states.verdict("web", "web1", "front", Status.DOWN))
    assert said(down, KEY).status is Status.DOWN


def test_an_address_of_each_ip_version_is_checked_commands_and_reports_are_of_the_member() -> None:
    here = states.member("web", "web1", "front")
    (check,) = checks(states.state(*TOWN, here), states.NODE).values()
    assert [str(each.address) for each in check.each] == ["10.0.1.1", "fd00::1"]
    for kind in (CheckKind.EXEC, CheckKind.TTL):
        other = replace(WEB, health=HealthCheck(kind=kind, command="true", ttl_s=1))
        (check,) = checks(states.state(*TOWN, other, here), states.NODE).values()
        assert len(check.each) == 1


def test_a_member_is_asked_on_ingress_from_the_ingress_sandbox_where_ports_lead_there() -> None:
    shop = ingress_states.shop(health=states.CHECKED)
    (check,) = checks(ingress_states.town(shop), states.NODE).values()
    ways = [(str(each.address), each.inside, each.is_ingress) for each in check.each]
    assert ways == [
        ("10.1.0.2", "", False),
        ("10.0.0.10", "/ns/sbox", True),
        ("fd00::a", "/ns/sbox", True),
    ]
    assert check.gate is not None
    assert check.gate.link == "ing0"
    sources = [str(check.gate.source(version)) for version in (4, 6)]
    assert sources == ["172.18.0.2", "fd18::2"], "strangers to members, as clients are"
    closed = replace(shop, ingress_vips=(), ports=())
    command = replace(shop, health=HealthCheck(kind=CheckKind.EXEC, command="true"))
    for other in (closed, command):
        (check,) = checks(ingress_states.town(other), states.NODE).values()
        assert [str(each.address) for each in check.each] == ["10.1.0.2"]


def test_signs_about_a_members_address_on_ingress_are_about_it() -> None:
    shop = ingress_states.shop(health=states.CHECKED)
    (check,) = checks(ingress_states.town(shop), states.NODE).values()
    assert {str(each) for each in check.known_by} == {"10.1.0.2", "10.0.0.10", "fd00::a"}


def test_whose_packets_pass_no_bridge_of_the_host_is_listened_to_inside() -> None:
    here = states.member("web", "web1", "front")
    assert unheard(states.state(*TOWN, here), states.NODE) == frozenset()
    for driver in (Driver.MACVLAN, Driver.IPVLAN):
        lan = (*TOWN, replace(states.net("front", 1), driver=driver))
        assert unheard(states.state(*lan, here), states.NODE) == {"/ns/web1"}
        assert unheard(states.state(*lan, here), states.ELSEWHERE) == frozenset()
        for kind in (CheckKind.NONE, CheckKind.TTL):
            unsigned = replace(WEB, health=HealthCheck(kind=kind, ttl_s=1))
            assert unheard(states.state(*lan, unsigned, here), states.NODE) == frozenset()

"""Who balances what, and over whom."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

from lb import plan, table
from lb.desired import Desired, Wanted, desired, nothing
from sdd import lineage
from sdd.model import ids
from sdd.model.health import Status
from sdd.model.service import EndpointMode
from sdd.state import Gone, Object, Put
from tests.unit.lb import states

VIP = ip_address("10.0.1.100")
CLIENT = ids.SandboxId("client")
TOWN = (
    states.net("front", 1),
    states.box("client"),
    states.plug("client", "front", "10.0.1.9/24"),
    states.box("web1"),
    states.plug("web1", "front", "10.0.1.1/24"),
    states.box("web2", node=states.ELSEWHERE),
    states.plug("web2", "front", "10.0.1.2/24", node=states.ELSEWHERE),
)
WEB = states.svc("web", "front", str(VIP))


def derived(*values: Object, before: Desired | None = None) -> Desired:
    return desired(states.state(*values), before or nothing(states.NODE))


def sandboxes(*values: Object) -> Mapping[ids.SandboxId, Wanted]:
    return derived(*values).sandboxes


def backends(*values: Object) -> dict[str, int]:
    virtual = sandboxes(*TOWN, *values)[CLIENT].table.services[VIP]
    return {str(each.address): each.weight for each in virtual.backends}


def test_every_sandbox_on_the_network_balances_its_services_backends_included() -> None:
    found = sandboxes(*TOWN, WEB)
    assert {name: set(each.table.services) for name, each in found.items()} == {
        "client": {VIP},
        "web1": {VIP},
    }


def test_sandboxes_of_other_nodes_are_not_ours_their_backends_are() -> None:
    assert "web2" not in sandboxes(*TOWN)
    assert backends(WEB, states.member("web", "web2", "front", node=states.ELSEWHERE)) == {
        "10.0.1.2": 1
    }


def test_a_sandbox_on_another_network_has_nothing_to_balance() -> None:
    other = (states.net("back", 2), states.box("db"), states.plug("db", "back", "10.0.2.1/24"))
    found = sandboxes(*TOWN, *other, WEB)
    assert found[ids.SandboxId("db")].table == table.EMPTY


def test_services_without_virtual_address_are_not_balanced() -> None:
    names = states.svc("names", "front", mode=EndpointMode.DNSRR)
    assert sandboxes(*TOWN, names)[CLIENT].table == table.EMPTY


def test_B9_20_only_the_healthy_get_traffic() -> None:
    web = states.svc("web", "front", str(VIP), check=states.CHECKED)
    members = (states.member("web", "web1", "front"), states.member("web", "web2", "front"))
    assert backends(web, *members) == {}
    up = states.verdict("web", "web1", "front", Status.UP)
    down = states.verdict("web", "web2", "front", Status.DOWN)
    assert backends(web, *members, up, down) == {"10.0.1.1": 1}


def test_weight_zero_stays_a_backend() -> None:
    assert backends(WEB, states.member("web", "web1", "front", weight=0)) == {"10.0.1.1": 0}


def test_each_family_balances_over_its_own_addresses() -> None:
    web = states.svc("web", "front", str(VIP), "fd00::100")
    both = states.plug("web1", "front", "10.0.1.1/24", "fd00::1/64")
    town = (*TOWN, both, web, states.member("web", "web1", "front"))
    services = sandboxes(*town)[CLIENT].table.services
    assert {
        str(vip): [str(each.address) for each in virtual.backends]
        for vip, virtual in services.items()
    } == {"10.0.1.100": ["10.0.1.1"], "fd00::100": ["fd00::1"]}


def test_a_member_that_fails_in_one_ip_version_serves_the_other_alone() -> None:
    web = states.svc("web", "front", str(VIP), "fd00::100", check=states.CHECKED)
    both = states.plug("web1", "front", "10.0.1.1/24", "fd00::1/64")
    verdict = states.verdict("web", "web1", "front", Status.UP)
    town = (*TOWN, both, web, states.member("web", "web1", "front"))
    for failing, left in (((6,), ["10.0.1.1"]), ((4,), ["fd00::1"]), ((), ["10.0.1.1", "fd00::1"])):
        now = sandboxes(*town, replace(verdict, failing=failing))[CLIENT].table.services
        assert [str(one.address) for each in now.values() for one in each.backends] == left


def test_each_virtual_address_has_its_owner() -> None:
    want = sandboxes(*TOWN, WEB)[CLIENT]
    assert want.owners == {VIP: "web"}
    assert want.place.source_for(VIP) == ip_address("10.0.1.9")
    assert want.place.source_for(ip_address("10.9.9.9")) is None


def test_B9_49_a_backend_of_two_services_that_fails_one_check_leaves_that_one_alone() -> None:
    checked = replace(WEB, health=states.CHECKED)
    other = states.svc("api", "front", "10.0.1.101", number=2, check=states.CHECKED)
    members = [states.member(svc, "web1", "front") for svc in ("web", "api")]
    up = [states.verdict(svc, "web1", "front", Status.UP) for svc in ("web", "api")]
    down = states.verdict("web", "web1", "front", Status.DOWN)
    first = derived(*TOWN, checked, other, *members, *up)
    then = derived(*TOWN, checked, other, *members, down, up[1], before=first)
    before, after = (each.sandboxes[CLIENT].table.services for each in (first, then))
    assert before[VIP].backends
    assert after[VIP].backends == ()
    assert after[ip_address("10.0.1.101")] == before[ip_address("10.0.1.101")]


def test_a_service_whose_address_names_a_link_is_its_own_failure() -> None:
    bad = states.svc("six", "front", "10.0.1.101", "fd31::77%a", number=2)
    clean = derived(*TOWN, WEB)
    for before in (nothing(states.NODE), clean):
        found = desired(states.state(*TOWN, WEB, bad, revision=2), before)
        (failure,) = found.failures
        assert (failure.subject, failure.code) == (bad.id, "SDD-OBJECT-DATA")
        assert "service 'six' is not balanced" in failure.sentence
        assert found.sandboxes == clean.sandboxes
    other = states.state(*TOWN, WEB, bad, states.box("more"), revision=3)
    assert desired(other, found).failures == found.failures
    assert not desired(states.state(*TOWN, WEB, revision=4), found).failures


OTHER = ip_address("10.0.1.101")
ODD = replace(WEB, persistence_s="two")  # type: ignore[arg-type]  # what no release of ours has stored
API = states.svc("api", "front", str(OTHER), number=2)
SERVED = (states.member("web", "web1", "front"), states.member("api", "web1", "front"))


def test_a_service_of_which_nothing_can_be_made_is_its_own_failure() -> None:
    found = derived(*TOWN, ODD, API, *SERVED)
    assert set(found.sandboxes[CLIENT].table.services) == {OTHER}
    (failure,) = found.failures
    assert failure.subject == "web"
    assert failure.sentence.startswith("service 'web' is not balanced as it should be: ")
    after = derived(*TOWN, WEB, API, *SERVED, before=found)
    assert (set(after.sandboxes[CLIENT].table.services), after.failures) == ({VIP, OTHER}, ())


def test_it_stays_as_it_was_and_the_others_change() -> None:
    good = derived(*TOWN, WEB, API, *SERVED)
    was = good.sandboxes[CLIENT].table.services
    heavier = states.member("api", "web1", "front", weight=7)
    bad = derived(*TOWN, ODD, API, SERVED[0], heavier, before=good)
    now = bad.sandboxes[CLIENT].table.services
    assert now[VIP] is was[VIP]
    assert now[OTHER].weights == {ip_address("10.0.1.1"): 7}
    assert [each.subject for each in bad.failures] == ["web"]
    # It is told until it changes, whatever else does.
    later = desired(bad.state.apply(ids.Revision(9), [Put(SERVED[1])]), bad)
    assert later.failures == bad.failures
    gone = desired(later.state.apply(ids.Revision(10), [Gone(type(WEB), WEB.id)]), later)
    assert (set(gone.sandboxes[CLIENT].table.services), gone.failures) == ({OTHER}, ())


BACK = (
    states.net("back", 2),
    states.svc("db", "back", "10.0.2.100", number=3),
    *(
        each
        for at in (1, 2, 3)
        for each in (
            states.box(f"mixed{at}"),
            states.plug(f"mixed{at}", "front", f"10.0.1.{20 + at}/24"),
            states.plug(f"mixed{at}", "back", f"10.0.2.{20 + at}/24"),
        )
    ),
)
MIXED = [ids.SandboxId(f"mixed{at}") for at in (1, 2, 3)]


def test_sandboxes_on_the_same_networks_have_the_same_table() -> None:
    first = derived(*TOWN, *BACK, WEB)
    ones = [first.sandboxes[each].table.services for each in MIXED]
    assert set(ones[0]) == {VIP, ip_address("10.0.2.100")}
    assert ones[0] is ones[1] is ones[2]
    elsewhere = desired(first.state.apply(ids.Revision(2), [Put(states.net("x", 7))]), first)
    assert elsewhere.sandboxes[MIXED[0]].table.services is ones[0]
    joined = first.state.apply(ids.Revision(3), [Put(SERVED[0])])
    after = desired(joined, first)
    others = [after.sandboxes[each].table.services for each in MIXED]
    assert others[0] is others[1] is others[2]
    assert others[0][VIP].weights == {ip_address("10.0.1.1"): 1}
    assert set(lineage.between(ones[0], others[0]) or ()) == {VIP}


def test_a_change_on_one_network_is_the_same_for_all_that_are_on_it() -> None:
    first = derived(*TOWN, *BACK, WEB)
    after = desired(first.state.apply(ids.Revision(3), [Put(SERVED[0])]), first)
    diff = plan.Diff()
    steps = [
        diff(first.sandboxes[each].table, after.sandboxes[each].table) for each in (CLIENT, *MIXED)
    ]
    assert len(steps[0]) == 1
    assert all(each is steps[0] for each in steps)

"""What the ingress sandbox and the members balance, by state."""

from dataclasses import replace
from ipaddress import ip_address

from lb import desired, plan, table
from lb.ports import desired as ports
from lb.ports import image
from sdd.model import ids
from sdd.model.health import Status
from sdd.model.port import Mode, Policy, Port
from sdd.model.service import EndpointMode
from sdd.state import ClusterState
from tests.unit.lb import ingress_states as towns
from tests.unit.lb import states

VIP, VIP6 = ip_address("10.0.0.200"), ip_address("fd00::200")
SBOX, WEB = ids.SandboxId("sbox"), ids.SandboxId("web")


def of(state: ClusterState, box: ids.SandboxId = SBOX) -> desired.Wanted:
    return desired.desired(state, desired.nothing(states.NODE)).sandboxes[box]


def test_the_ingress_sandbox_balances_what_comes_over_its_uplink() -> None:
    wanted = of(towns.town())
    assert wanted.place.uplink == "eth0"
    assert wanted.owners == {VIP: "shop", VIP6: "shop"}
    assert wanted.table.services[VIP].backends == (
        table.Backend(address=ip_address("10.0.0.10"), weight=3),
    )
    assert wanted.table.services[VIP6].weights == {ip_address("fd00::a"): 3}
    assert wanted.table.back is None


def test_a_member_balances_its_own_networks_alone_and_knows_the_way_back() -> None:
    wanted = of(towns.town(), WEB)
    assert set(wanted.table.services) == {ip_address("10.1.0.100")}
    assert (wanted.place.uplink, wanted.place.is_member) == ("", True)
    assert wanted.table.back is not None


def test_U11_a_service_without_virtual_address_is_balanced_there_all_the_same() -> None:
    wanted = of(towns.town(towns.shop(mode=EndpointMode.DNSRR, vips=())))
    assert set(wanted.table.services) == {VIP, VIP6}


def test_U5_a_member_that_is_down_is_no_backend() -> None:
    checked = towns.shop(health=states.CHECKED)
    down = states.verdict("shop", "web", "front", Status.DOWN)
    assert of(towns.town(checked, down)).table.services[VIP].backends == ()


def test_a_member_that_fails_on_ingress_alone_serves_there_what_it_answers() -> None:
    checked = towns.shop(health=states.CHECKED)
    up = states.verdict("shop", "web", "front", Status.UP)
    for on_ingress, left in (((6,), {VIP}), ((4,), {VIP6}), ((4, 6), set()), ((), {VIP, VIP6})):
        town = towns.town(checked, replace(up, ingress_failing=on_ingress))
        served = {vip for vip, one in of(town).table.services.items() if one.backends}
        assert served == left
        own = of(town, WEB).table.services[ip_address("10.1.0.100")]
        assert len(own.backends) == 1
    direct = towns.town(checked, replace(up, failing=(4,)))
    assert of(direct).table.services[VIP].backends == ()


def test_an_endpoint_that_moves_on_ingress_changes_the_backends_and_nobody_else() -> None:
    first = desired.desired(towns.town(), desired.nothing(states.NODE))
    moved = states.state(
        *towns.GROUND, *towns.WEB, towns.shop(), towns.on_ingress("web", 12), revision=2
    )
    second = desired.desired(moved, first)
    assert second.sandboxes[SBOX].table.services[VIP].weights == {ip_address("10.0.0.12"): 3}


def test_another_node_is_one_more_way_back_for_members_alone() -> None:
    before = towns.town()
    first = desired.desired(before, desired.nothing(states.NODE))
    more = towns.town(*towns.ingress_box("far", 3, states.ELSEWHERE), revision=2)
    second = desired.desired(more, first)
    back = second.sandboxes[WEB].table.back
    assert back is not None
    assert len(back.nodes) == 2
    steps = plan.diff(first.sandboxes[WEB].table, second.sandboxes[WEB].table)
    assert steps == (plan.SetBack(back),)
    assert plan.result(first.sandboxes[WEB].table, steps) == second.sandboxes[WEB].table


def elements(policy: Policy = Policy.PRESERVE) -> set[str]:
    state = towns.town(towns.shop(towns.port(policy=policy)))
    want = ports.desired(state, ports.nothing(states.NODE))
    return {
        f"{each.set} {each.key} {each.value}".strip()
        for entry in want.parts["shop"]
        for each in image.of(entry)
    }


def test_the_host_leads_the_port_to_the_virtual_address_whatever_the_members_do() -> None:
    found = elements()
    assert "to_any4 tcp . 8080 10.0.0.200 . 80" in found
    assert "to_any6 tcp . 8080 fd00::200 . 80" in found
    assert 'bridges "sdd-gwbridge" . "sdd-gwbridge"' in found
    assert not any(each.startswith("masked") for each in found)


def test_who_is_a_member_is_not_seen_as_itself_by_members() -> None:
    found = elements()
    assert "self4 10.1.0.2 . 10.0.0.200" in found
    assert "self6 fd00::a . fd00::200" in found


def test_127_0_0_1_answers_only_what_was_asked_for_there() -> None:
    def found(*ports_of: Port) -> list[tuple[str, bool]]:
        state = towns.town(towns.shop(*ports_of))
        parts = ports.desired(state, ports.nothing(states.NODE)).parts["shop"]
        return [(str(each.bind), each.is_outward) for each in parts if each.bind.version == 4]

    wide = towns.port()
    near = replace(wide, address=ip_address("127.0.0.1"))
    local = replace(wide, policy=Policy.LOCAL)
    host = replace(wide, mode=Mode.HOST)
    assert found(wide) == found(local) == [("8080/tcp", True)]
    assert found(wide, near) == found(near, wide) == [("8080/tcp", False)]
    assert found(near) == [("127.0.0.1:8080/tcp", False)]
    assert found(host) == [("8080/tcp", False)]
    assert "outward tcp . 8080" in elements()


def test_snat_of_one_port_is_none_of_another_ports_with_the_same_target() -> None:
    snat = towns.port(8081, policy=Policy.SNAT)
    state = towns.town(towns.shop(towns.port(), snat))
    parts = ports.desired(state, ports.nothing(states.NODE)).parts["shop"]
    found = {each for entry in parts for each in image.of(entry)}
    masked = {each.key for each in found if each.set.startswith("masked")}
    assert masked == {"tcp . 8081 . 10.0.0.200", "tcp . 8081 . fd00::200"}


def test_snat_masks_every_client_and_local_leads_straight_to_members_here() -> None:
    assert "masked_any4 tcp . 8080 . 10.0.0.200" in elements(Policy.SNAT)
    assert "to_any4 tcp . 8080 10.1.0.2 . 80" in elements(Policy.LOCAL)


def test_ports_of_a_service_that_has_no_such_address_yet_lead_straight_to_members() -> None:
    """As an older release stored it: it works as it did until the service is changed."""
    state = towns.town(replace(towns.shop(), ingress_vips=()))
    (v4,) = ports.desired(state, ports.nothing(states.NODE)).parts["shop"]
    assert [str(each.address) for each in v4.backends] == ["10.1.0.2"]

from dataclasses import replace
from ipaddress import ip_address

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver import protocol
from resolver.message import wire
from resolver.names import portnames, records, table
from sdd.model import health, ids, port, sandbox, service
from sdd.state import ClusterState, Put
from tests.unit.resolver.questions import at, box, end, member, net, svc, verdict

LAB = net("lab")
WEB = box("Web", hostname="front.example")
WEB_END = end(WEB, LAB, "10.1.0.2/24", "fd00:1::2/64", aliases=("cache", "web"))


def names(state: ClusterState) -> protocol.Names:
    return dict(table.table(state, LAB, 5).names)


def addresses(found: protocol.Names, name: str, kind: int = wire.A) -> set[str]:
    data = found.get(wire.to_wire(name), {}).get(kind, [])
    return {str(ip_address(each[10:])) for each in data}


def pointer(found: protocol.Names, address: str) -> list[str]:
    owner = wire.to_wire(ip_address(address).reverse_pointer)
    return [wire.to_text(each[10:]) for each in found.get(owner, {}).get(wire.PTR, [])]


def test_N1_every_name_of_a_sandbox_has_its_addresses_of_both_families() -> None:
    found = names(at(LAB, WEB, WEB_END))
    for name in ("web", "cache", WEB.id[:12], "front.example", "web.lab", "cache.lab"):
        assert addresses(found, name) == {"10.1.0.2"}, name
        assert addresses(found, name, wire.AAAA) == {"fd00:1::2"}, name


def test_N1_the_first_name_is_the_pointers() -> None:
    found = names(at(LAB, WEB, WEB_END))
    assert pointer(found, "10.1.0.2") == ["web.lab."]
    assert pointer(found, "fd00:1::2") == ["web.lab."]


def test_N2_another_networks_endpoints_are_not_here() -> None:
    other = net("other", "10.2.0.0/24")
    found = names(at(LAB, other, WEB, end(WEB, other, "10.2.0.2/24")))
    assert found == {}


def test_N20_an_alias_of_several_has_all_their_addresses_once() -> None:
    two = box("two")
    shared = end(two, LAB, "10.1.0.3/24", aliases=("cache",))
    assert addresses(names(at(LAB, WEB, WEB_END, two, shared)), "cache") == {"10.1.0.2", "10.1.0.3"}


def test_a_name_that_dns_cannot_carry_takes_no_other_away() -> None:
    odd = box("x" * 64, hostname="ünïcode")
    found = names(at(LAB, WEB, WEB_END, odd, end(odd, LAB, "10.1.0.9/24", aliases=("a..b",))))
    assert addresses(found, "web") == {"10.1.0.2"}
    assert addresses(found, odd.id[:12]) == {"10.1.0.9"}


def members(
    *statuses: health.Status, mode: service.EndpointMode = service.EndpointMode.VIP
) -> ClusterState:
    vips = (ip_address("10.1.0.100"),) if mode is service.EndpointMode.VIP else ()
    checked = service.HealthCheck(kind=service.CheckKind.TCP, port=80)
    api = svc("api", LAB, vips=vips, mode=mode, aliases=("front",), health=checked)
    values: list[object] = [LAB, api]
    for number, status in enumerate(statuses):
        one = box(f"m{number}")
        its = end(one, LAB, f"10.1.0.{number + 10}/24")
        values += [one, its, member(api, its), verdict(api, its, status)]
    return at(*values)  # type: ignore[arg-type]  # objects of the model


UP, DOWN = health.Status.UP, health.Status.DOWN


def test_A8_08_a_service_is_its_vip_and_its_tasks_are_the_healthy_members() -> None:
    found = names(members(UP, DOWN, UP))
    for name in ("api", "front", "api.lab"):
        assert addresses(found, name) == {"10.1.0.100"}
    for name in ("tasks.api", "tasks.front", "tasks.api.lab"):
        assert addresses(found, name) == {"10.1.0.10", "10.1.0.12"}


def test_V4_without_a_vip_the_name_is_the_healthy_members() -> None:
    found = names(members(UP, UP, DOWN, mode=service.EndpointMode.DNSRR))
    assert addresses(found, "api") == {"10.1.0.10", "10.1.0.11"}


@pytest.mark.parametrize("mode", list(service.EndpointMode))
def test_a_name_has_no_address_of_an_ip_version_in_which_nobody_answers(
    mode: service.EndpointMode,
) -> None:
    vips = ("10.1.0.100", "fd00:1::100") if mode is service.EndpointMode.VIP else ()
    api = replace(svc("api", LAB, mode=mode), vips=tuple(map(ip_address, vips)))
    checked = replace(api, health=service.HealthCheck(kind=service.CheckKind.TCP, port=80))
    up = replace(verdict(api, WEB_END, UP), failing=(6,))
    found = names(at(LAB, WEB, WEB_END, checked, member(api, WEB_END), up))
    for name in ("api", "tasks.api"):
        assert len(addresses(found, name)) == 1
        assert addresses(found, name, wire.AAAA) == set()
    well = names(at(LAB, WEB, WEB_END, checked, member(api, WEB_END), replace(up, failing=())))
    assert len(addresses(well, "api", wire.AAAA)) == 1


def test_a_service_without_a_healthy_member_is_known_without_an_address() -> None:
    found = names(members(DOWN, mode=service.EndpointMode.DNSRR))
    assert found[wire.to_wire("api")] == {wire.A: []}  # there, and not only what is below it
    assert found[wire.to_wire("tasks.api")] == {wire.A: []}


def test_a_drained_member_is_no_task() -> None:
    api = svc("api", LAB, mode=service.EndpointMode.DNSRR)
    found = names(at(LAB, api, WEB, WEB_END, member(api, WEB_END, weight=0)))
    assert addresses(found, "api") == set()


def test_X11_a_virtual_address_points_back_to_its_service() -> None:
    api = svc("api", LAB, vips=(ip_address("10.1.0.100"), ip_address("fd00:1::100")))
    found = names(at(LAB, api))
    assert addresses(found, "api", wire.AAAA) == {"fd00:1::100"}
    assert pointer(found, "10.1.0.100") == ["api.lab."]
    assert pointer(found, "fd00:1::100") == ["api.lab."]


def test_A8_15_no_sandbox_takes_over_a_services_name() -> None:
    api = svc("api", LAB, vips=(ip_address("10.1.0.100"),))
    thief = box("API")
    its = end(thief, LAB, "10.1.0.66/24", aliases=("tasks.api",))
    found = names(at(LAB, api, thief, its))
    assert addresses(found, "api") == {"10.1.0.100"}
    assert addresses(found, "tasks.api") == set()
    assert addresses(found, thief.id[:12]) == {"10.1.0.66"}


def test_A8_14_added_hosts_resolve_both_ways() -> None:
    extra = sandbox.ExtraHost(name="Printer", address=ip_address("192.0.2.5"))
    found = records.of_hosts((extra,), 5)
    assert addresses(found, "printer") == {"192.0.2.5"}
    assert pointer(found, "192.0.2.5") == ["printer."]


@pytest.mark.parametrize("name", ["LocalHost", "db.localhost"])
def test_A8_17_a_hostname_of_localhost_is_no_name_for_others(name: str) -> None:
    box = replace(WEB, hostname=name)
    assert name.lower() not in records.names_of(box, WEB_END)
    assert "web.example" in records.names_of(replace(WEB, hostname="web.example"), WEB_END)


def test_zones_are_the_networks_name_and_its_whole_reverse_zones() -> None:
    def texts(subnet: str) -> set[str]:
        return {wire.to_text(zone) for zone in records.zones(net("lab", subnet))}

    assert texts("10.1.2.0/24") == {"lab.", "2.1.10.in-addr.arpa."}
    assert texts("10.1.0.0/16") == {"lab.", "1.10.in-addr.arpa."}
    assert len(texts("10.0.0.0/12")) == 1 + 16
    assert texts("10.1.2.0/26") == {"lab."}
    assert texts("fd00:1::/64") == {"lab.", "0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa."}


def served(**more: object) -> ClusterState:
    """Two backends of different weights behind http and one more port."""
    ports = (
        port.Port(published=5000, target=80),
        port.Port(published=5353, target=5353, protocol=port.Protocol.UDP),
    )
    web = svc("web", LAB, vips=(ip_address("10.1.0.100"),), ports=ports, aliases=("shop",), **more)
    values: list[object] = [LAB, web]
    for number, name in enumerate(("b1", "b2"), 1):
        one = box(name)
        its = end(one, LAB, f"10.1.0.{number}/24", f"fd00::{number}/64")
        values += [one, its, member(web, its, weight=number)]
    return at(*values)  # type: ignore[arg-type]  # objects of the model


def services(found: protocol.Names, name: str) -> set[str]:
    entry = found.get(wire.to_wire(name), {})
    kind, klass = dns.rdatatype.SRV, dns.rdataclass.IN
    data = (each[wire.RECORD_HEAD :] for each in entry.get(wire.SRV, ()))
    return {dns.rdata.from_wire(klass, kind, each, 0, len(each)).to_text() for each in data}


@pytest.mark.parametrize("name", ["web", "shop", "web.lab", "shop.lab"])
def test_C13_X20_a_services_ports_name_its_backends_with_their_weights(name: str) -> None:
    found = names(served())
    http = {"0 1 80 b1.lab.", "0 2 80 b2.lab."}
    assert services(found, f"_http._tcp.{name}") == services(found, f"_80._tcp.{name}") == http
    assert services(found, f"_5353._udp.{name}") == {"0 1 5353 b1.lab.", "0 2 5353 b2.lab."}
    for other in ("_http._udp", "_5000._tcp", "_53._udp"):
        assert wire.to_wire(f"{other}.{name}") not in found


def test_A8_16_a_backend_that_is_down_or_drained_is_in_no_srv_answer() -> None:
    state = served(health=service.HealthCheck(kind=service.CheckKind.TCP, port=80))
    (web,) = state.services.values()
    one, other = state.endpoints.values()
    told = state.apply(
        ids.Revision(8), [Put(verdict(web, one, UP)), Put(verdict(web, other, DOWN))]
    )
    assert services(names(told), "_http._tcp.web") == {"0 1 80 b1.lab."}
    drained = told.apply(ids.Revision(9), [Put(member(web, one, weight=0))])
    assert names(drained)[wire.to_wire("_http._tcp.web")] == {wire.SRV: []}


@given(st.sampled_from(["tcp", "udp", "sctp"]), st.integers(1, 65535))
def test_every_port_has_its_number_and_at_most_one_name(protocol_: str, number: int) -> None:
    first, *rest = portnames.labels(protocol_, number)
    assert first == f"_{number}"
    assert len(rest) <= 1
    assert all(wire.to_wire(each) for each in rest)

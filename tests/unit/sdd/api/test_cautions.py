"""What whoever makes a network hears of its names; the rest is in test_render.py."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from sdd.api import cautions
from sdd.model import ids, network, port, record
from sdd.model.forwardzone import ForwardZone
from sdd.model.nameserver import Nameserver
from sdd.state import ClusterState
from tests.unit.lb import states

POOLS = tuple(network.Pool(subnet=ip_network(each)) for each in ("10.1.0.0/23", "fd00:1::/64"))
NET = network.Network(id=ids.NetworkId("n1"), name="Lab", pools=POOLS)


def said(*zones: str, **options: str) -> str:
    server = ip_address("10.0.0.53")
    given = tuple(ForwardZone(zone=each, server=server) for each in zones)
    return cautions.of(replace(NET, dns_zones=given, options=options))


@pytest.mark.parametrize(
    "zone",
    [
        "lab",
        "a.b.lab",
        "1.1.10.in-addr.arpa",
        "7.0.1.10.in-addr.arpa",
        f"{'0.' * 8}1.0.0.0.0.0.d.f.ip6.arpa",
    ],
)
def test_a_forward_zone_that_is_the_networks_own_has_no_effect(zone: str) -> None:
    told = said("corp.local", zone, zone)
    assert told.endswith(f"so --dns-forward-zone {zone} has no effect on it")


@pytest.mark.parametrize(
    "zone",
    [
        "corp.local",
        "mylab",
        "lab.corp",
        "2.1.10.in-addr.arpa",
        "1.10.in-addr.arpa",
        "x.in-addr.arpa",
        "arpa",
        "d.f.ip6.arpa",
    ],
)
def test_other_forward_zones_have_one(zone: str) -> None:
    assert said(zone) == ""


def test_servers_that_name_a_link_are_told_of() -> None:
    linked = ip_address("fe80::1%eth0")
    zone = ForwardZone(zone="corp.local", server=Nameserver(address=linked))
    assert cautions.of(replace(NET, dns=(ip_address("fe80::1"),))) == ""
    for net in (replace(NET, dns=(linked,)), replace(NET, dns_zones=(zone,))):
        assert cautions.of(net).startswith("fe80::1%eth0 is never asked")


def test_a_network_that_forwards_what_it_does_not_know_forwards_its_zone_too() -> None:
    assert said("lab", **{"forward-unknown": "true"}) == ""


@pytest.mark.parametrize("name", ["in-addr.arpa", "8.8.8.in-addr.arpa", "IP6.arpa"])
def test_a_network_called_like_a_reverse_zone_hides_it(name: str) -> None:
    net = replace(NET, name=name)
    assert cautions.of(net).startswith(f"names of addresses are below {name}")
    assert cautions.of(replace(net, options={"forward-unknown": "true"})) == ""


@pytest.mark.parametrize("name", ["local", "corp.Local", "onion"])
def test_of_a_network_in_a_domain_that_is_not_asked_of_dns_it_is_said(name: str) -> None:
    end = name.lower().rpartition(".")[2]
    assert f".{end} is kept for" in cautions.of(replace(NET, name=name))


def test_other_names_of_networks_are_fine() -> None:
    assert [cautions.of(replace(NET, name=each)) for each in ("Lab", "arpanet", "locals")] == [
        ""
    ] * 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "holds name servers of this host: 10.1.1.53, fd00:1::53 cannot be reached"),
        ({"driver": network.Driver.MACVLAN}, ""),  # no route of the host leads there
        ({"options": {"com.docker.network.bridge.name": "br0"}}, ""),  # they may be on its wire
    ],
)
def test_whoever_takes_the_hosts_name_servers_away_is_told(
    changes: dict[str, object], told: str
) -> None:
    asked = [ip_address(each) for each in ("10.1.1.53", "10.2.0.53", "fd00:1::53")]
    pools = tuple(replace(pool, gateway=pool.subnet[1]) for pool in POOLS)
    net = replace(NET, pools=pools, **changes)  # type: ignore[arg-type]  # a mixed table
    found = cautions.of(net, asked)
    assert told in found
    assert bool(found) is bool(told)


def test_an_internal_network_on_a_wire_is_told_to_be_open() -> None:
    on_wire = replace(NET, internal=True, driver=network.Driver.MACVLAN, options={"parent": "eth0"})
    assert "the machines on the wire of eth0 reach each other" in cautions.open_wire(on_wire)
    others = (
        replace(on_wire, options={}),
        replace(on_wire, internal=False),
        replace(on_wire, driver=network.Driver.BRIDGE),
    )
    assert [cautions.open_wire(each) for each in others] == ["", "", ""]


def test_search_domains_that_musl_takes_no_note_of_are_told_of() -> None:
    long = tuple(f"dom{n}.some.long.example.com" for n in range(10))
    assert cautions.unread(long[:8]) == ""
    told = cautions.unread((*long, "."))
    assert "musl (Alpine) takes no note of one that has more than 254" in told


def test_a_service_that_no_sandbox_reaches_is_told_so() -> None:
    alone = {"com.docker.network.bridge.enable_icc": "false"}
    lonely = replace(states.net("front", 1), options=alone)
    plain = states.svc("web", "front", "10.0.1.100")
    told = cautions.of_service(states.state(lonely, plain), plain)
    assert "sandboxes of network front do not reach each other (enable_icc=false)" in told
    assert "virtual address of service web" in told
    nameless = replace(plain, vips=())
    assert "the name of service web" in cautions.of_service(states.state(lonely, plain), nameless)
    published = replace(plain, ports=(port.Port(published=8080, target=80),))
    assert cautions.of_service(states.state(lonely, plain), published) == ""
    assert cautions.of_service(states.state(states.net("front", 1), plain), plain) == ""
    assert cautions.of_service(ClusterState(), plain) == ""


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("www CNAME printer", True),
        ("_s._tcp.x SRV 0 1 80 printer", True),
        ("www CNAME Front", True),  # of the network itself there is no front.front
        ("www CNAME web", False),  # a service
        ("www CNAME a", False),  # a sandbox
        ("www CNAME db", False),  # a record
        ("www CNAME printer.front", False),
        ("www CNAME localhost", False),
        ("www CNAME tasks.gone", False),
        ("x SRV 0 0 0 .", False),
        ("x TXT printer", False),
    ],
)
def test_a_record_that_leads_to_nobody_on_its_network_is_told_so(text: str, is_told: bool) -> None:
    front = states.net("front", 1)
    web = states.svc("web", "front", "10.0.1.100")
    box, end = states.box("a"), states.plug("a", "front", "10.0.1.2/24")
    state = states.state(front, web, box, end, _record("db A 10.0.0.9", front.id))
    made = _record(text, front.id)
    (told,) = cautions.of_records(state, [made])
    wanted = "is no name of network front: the record leads nowhere until it is"
    assert (wanted in told) is is_told
    assert bool(told) is is_told
    asking = replace(front, options={"forward-unknown": "true"})
    (told,) = cautions.of_records(states.state(asking), [_record("www CNAME printer", front.id)])
    assert "front: others are asked for printer.front until it is" in told
    caught = states.state(front, _record("*.front A 10.0.0.9", front.id))
    assert cautions.of_records(caught, [made]) == ("",)
    assert cautions.of_records(ClusterState(), [made]) == ("",)  # the network is gone by now


def _record(text: str, on: ids.NetworkId) -> record.Record:
    name, kind, data = text.split(maxsplit=2)
    return record.Record(
        id=ids.RecordId(text), network=on, name=name, kind=record.RecordType(kind), data=data
    )

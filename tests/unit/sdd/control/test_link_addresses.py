"""Which MAC a sandbox's link cannot have, and why."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from sdd import errors, state
from sdd.control import link_addresses, parents, taken
from sdd.control.claims import Claims
from sdd.control.ground import Ground
from sdd.model import ids, network, request
from sdd.model.host_link import HostLink
from sdd.model.mac import made_of
from tests.netns_states import NODE, at, box, end, net

MACVLAN, IPVLAN = network.Driver.MACVLAN, network.Driver.IPVLAN
BYTES = b"\x01\x02\x03\x04\x05"
FRONT = net("front", "10.70.0.0/24")
LAN = net("lan", "192.0.2.0/24", driver=MACVLAN, options={"parent": "up0", "host-access": "true"})
DB = box("db", "/run/sdd/netns/db")
GIVEN = (ip_interface("10.70.0.9/24"),)
FREE = "02:00:00:00:00:09"
UP0 = "02:aa:00:00:00:01"
ROUTER = "02:aa:00:00:00:02"
KNOWN: Mapping[str, HostLink | None] = {"up0": HostLink(mtu=1500, mac=UP0)}
HEARD: Mapping[network.IPAddress, str] = {
    ip_address("192.0.2.1"): f"another machine, {ROUTER}",
}


def ground(*objects: state.Object) -> Ground:
    return Ground(
        now=at(1, *objects),
        claims=Claims(),
        node=NODE,
        at=0.0,
        entropy=lambda count: BYTES[:count],
        exec_root=Path("/run/sdd"),
        pools=(),
        transports=frozenset(),
        links=KNOWN,
        strangers=HEARD,
    )


def chosen(on: network.Network, mac: str = "", *others: state.Object) -> str:
    asked = request.Attachment(network=on.name, mac=mac)
    return link_addresses.choose(ground(on, *others), on, asked, GIVEN)


def why_not(on: network.Network, mac: str, *others: state.Object) -> str:
    with pytest.raises(errors.Conflict) as caught:
        chosen(on, mac, *others)
    assert caught.value.code == "SDD-NET-MAC"
    assert caught.value.hint == "leave the MAC address out to get a free one"
    return caught.value.sentence


def test_a_free_one_is_given_and_without_a_wish_that_of_the_address() -> None:
    assert [chosen(on, FREE) for on in (FRONT, LAN)] == [FREE, FREE]
    assert chosen(FRONT) == "02:42:0a:46:00:09"


def test_a_bridge_and_the_hosts_ends_of_its_links_have_theirs() -> None:
    on = end(FRONT, DB, "10.70.0.2")
    assert f"its bridge {FRONT.device} has it" in why_not(FRONT, made_of(FRONT.id))
    said = why_not(FRONT, made_of(on.id).upper(), DB, on)
    assert f"the host's end {on.host_link} of the link of sandbox db" in said


def test_by_chance_nobody_gets_that_of_the_bridge() -> None:
    alike = replace(FRONT, id=ids.NetworkId("420a460009" + FRONT.id[10:]))
    assert made_of(alike.id) == "02:42:0a:46:00:09"
    assert chosen(alike) == "02:01:02:03:04:05"


def test_a_parent_the_host_on_it_and_the_gateway_have_theirs() -> None:
    assert "the host's link up0 has it" in why_not(LAN, UP0)
    assert "its gateway 192.0.2.1 has it" in why_not(LAN, ROUTER)
    assert "the host's own link on network lan" in why_not(LAN, made_of(LAN.id))
    beside = net("beside", "198.51.100.0/24", driver=MACVLAN, options={"parent": "up0"})
    options = {"parent": "up0", "duplicate-probe": "false"}
    quiet = net("quiet", "192.0.2.0/24", driver=MACVLAN, options=options)
    assert "on network lan has it" in why_not(quiet, made_of(LAN.id), LAN)
    assert chosen(quiet, ROUTER) == ROUTER, "nobody is asked"
    with pytest.raises(taken.Unprobed) as unsure:
        chosen(beside, FREE)
    assert unsure.value.addresses == [ip_address("198.51.100.1")]


def test_a_bridge_that_was_there_has_its_own() -> None:
    theirs = net("theirs", "192.0.2.0/24", options={"bridge.name": "up0"})
    assert "the host's link up0 has it" in why_not(theirs, UP0)
    assert "its gateway 192.0.2.1 has it" in why_not(theirs, ROUTER)
    assert chosen(theirs, made_of(theirs.id)) == made_of(theirs.id)
    with pytest.raises(parents.Unseen):
        chosen(net("other", "192.0.2.0/24", options={"bridge.name": "br9"}), FREE)


def test_in_passthru_mode_a_parent_takes_the_address_of_its_child() -> None:
    options = {"parent": "up0", "macvlan_mode": "passthru", "duplicate-probe": "false"}
    assert chosen(net("whole", "192.0.2.0/24", driver=MACVLAN, options=options), UP0) == UP0


def test_on_ipvlan_there_is_none_to_give() -> None:
    on = net("l2", "192.0.2.0/24", driver=IPVLAN, options={"parent": "up0"})
    assert chosen(on) == ""
    with pytest.raises(errors.Invalid, match="address of their parent"):
        chosen(on, FREE)

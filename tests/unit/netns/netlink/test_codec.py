"""What we send is what the kernel's headers say, and what the kernel sends is read back."""

import socket
import struct
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from netns.netlink import address, link, route
from sdd.linux import netlink

FAKE_GROUP = 0x736464


def reply(message: netlink.Message) -> netlink.Reply:
    """The kernel tells objects in the form in which they are asked for."""
    return netlink.Reply(message.kind, message.body)


def test_a_changed_link_says_all_that_was_asked_for() -> None:
    message = link.change(
        "eth0",
        up=True,
        alias="sdd:7",
        mac="02:00:00:00:00:07",
        mtu=1400,
        master=9,
        conf4={19: 1},
        gen_mode=1,
    )
    found = link.of(reply(message))
    assert (found.name, found.up, found.alias) == ("eth0", True, "sdd:7")
    assert (found.mac, found.mtu, found.master) == ("02:00:00:00:00:07", 1400, 9)
    assert found.gen_mode == 1


def test_what_is_not_given_is_not_sent() -> None:
    found = netlink.attributes(link.change("eth0", up=False).body[16:])
    assert set(found) == {3}
    assert netlink.attributes(link.change("eth0", up=True, master=0).body[16:])[10] == bytes(4)


def test_a_pair_names_the_namespace_of_its_peer() -> None:
    message = link.add_pair(
        link.End(name="veth1"),
        link.End(name="eth0", mac="02:00:00:00:00:01", mtu=1400),
        group=FAKE_GROUP,
        inside=42,
    )
    assert message.flags == netlink.CREATE | netlink.EXCL
    outer = netlink.attributes(message.body[16:])
    info = netlink.attributes(outer[18])
    peer = netlink.attributes(netlink.attributes(info[2])[1][16:])
    assert (netlink.to_text(outer[3]), netlink.to_text(info[1])) == ("veth1", "veth")
    assert (netlink.to_text(peer[3]), netlink.to_int(peer[28])) == ("eth0", 42)
    assert netlink.to_int(outer[27]) == netlink.to_int(peer[27]) == FAKE_GROUP


def test_a_group_is_deleted_without_naming_a_link() -> None:
    message = link.delete_group(FAKE_GROUP)
    assert message.kind == link.DELETE
    assert set(netlink.attributes(message.body[16:])) == {27}


def test_a_link_without_ipv6_has_no_mode_and_no_numbers() -> None:
    found = link.of(reply(link.add("bridge", "br0", group=1)))
    assert (found.kind, found.gen_mode, found.conf4, found.conf6) == ("bridge", -1, (), ())


@pytest.mark.parametrize(
    "text", ["10.1.0.2/24", "10.1.0.2/31", "10.1.0.2/32", "fd01::2/64", "fd01::2/128"]
)
def test_an_address_comes_back(text: str) -> None:
    interface = ip_interface(text)
    found = address.of(reply(address.add(7, interface, protocol=83)))
    assert (found.index, found.interface, found.protocol) == (7, interface, 83)


@pytest.mark.parametrize(("text", "has"), [("10.1.0.2/24", True), ("10.1.0.2/31", False)])
def test_only_a_prefix_with_room_for_one_has_a_broadcast_address(text: str, has: bool) -> None:
    body = address.add(7, ip_interface(text), protocol=83).body
    assert (4 in netlink.attributes(body[8:])) is has


def test_a_peer_address_reads_as_our_own_end() -> None:
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, 3)
    body += netlink.attribute(1, ip_address("10.0.0.9").packed)
    body += netlink.attribute(2, ip_address("10.0.0.1").packed)
    found = address.of(netlink.Reply(address.NEW, body))
    assert found.interface == ip_interface("10.0.0.1/32")


@pytest.mark.parametrize(
    "entry",
    [
        route.Entry(
            destination=ip_network("0.0.0.0/0"),
            index=3,
            gateway=ip_address("10.1.0.1"),
            table=254,
            metric=0,
            protocol=83,
        ),
        route.Entry(
            destination=ip_network("fd01::/64"),
            index=3,
            gateway=None,
            table=70000,
            metric=1024,
            protocol=83,
        ),
    ],
    ids=["v4 default", "v6 in a large table"],
)
def test_a_route_comes_back(entry: route.Entry) -> None:
    found = route.of(reply(route.add(entry)))
    assert found is not None
    assert (found.destination, found.gateway, found.index) == (
        entry.destination,
        entry.gateway,
        entry.index,
    )
    assert (found.table, found.metric, found.protocol) == (entry.table, entry.metric, 83)


def test_an_on_link_ipv4_route_has_link_scope_and_a_gateway_has_not() -> None:
    on_link = route.Entry(
        destination=ip_network("10.0.0.0/8"),
        gateway=None,
        index=3,
        table=254,
        metric=0,
        protocol=83,
    )
    via = replace(on_link, gateway=ip_address("10.1.0.1"))
    scopes = [found.scope for each in (on_link, via) if (found := route.of(reply(route.add(each))))]
    assert scopes == [route.LINK_SCOPE, 0]


def test_the_kernels_own_route_names_its_source_and_goes_behind_its_rivals() -> None:
    entry = route.Entry(
        destination=ip_network("10.1.0.0/24"),
        index=3,
        gateway=None,
        table=254,
        metric=0,
        protocol=route.KERNEL,
        source=ip_address("10.1.0.2"),
    )
    message = route.add(entry, netlink.APPEND)
    assert message.flags == netlink.CREATE | netlink.APPEND
    assert netlink.attributes(message.body[12:])[7] == bytes((10, 1, 0, 2))  # RTA_PREFSRC
    makers = (route.KERNEL,)
    assert route.link_of(message.body, makers) == 3
    assert route.link_of(route.add(replace(entry, protocol=4)).body, makers) == 0
    assert route.link_of(b"", makers) == 0


@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "10.1.2.0/23", "::/0", "fd00:1::/47", "::1/128"])
def test_where_a_route_begins_and_ends(prefix: str) -> None:
    there = ip_network(prefix)
    entry = route.Entry(destination=there, gateway=None, index=3, table=254, metric=0, protocol=4)
    ends = (there.version, int(there.network_address), int(there.broadcast_address))
    body = route.add(entry).body
    assert route.span(body) == ends
    other_order = body[:12] + netlink.u32(4, 3) + body[12:]
    assert route.span(other_order) == ends
    assert route.span(bytes([128, *bytes(11)])) is None


def test_routes_of_other_families_and_cache_entries_are_none() -> None:
    other = struct.pack("=BBBBBBBBI", 28, 0, 0, 0, 254, 2, 0, 1, 0)
    cached = struct.pack("=BBBBBBBBI", socket.AF_INET6, 0, 0, 0, 254, 2, 0, 1, 0x200)
    assert [route.of(netlink.Reply(route.NEW, body)) for body in (other, cached)] == [None, None]

"""What notifications are about; whose they are is told by the port id of their cause."""

import os
import struct
from ipaddress import ip_network

import pytest

from netns.kernel import marks
from netns.kernel.news import NOTHING, Gathering, News
from netns.netlink import address, link, number, route
from sdd.linux import netlink

OWN = os.getpid()
THERE = 7  # the number of some namespace


def message(kind: int, body: bytes, *, port: int = 0, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, port) + body


def of_link(name: str, index: int = 3, kind: int = link.NEW, *, port: int = 0) -> bytes:
    header = struct.pack("=BxHiII", 0, 0, index, 0, 0)
    return message(kind, header + netlink.text(3, name), port=port)


def of_number(kind: int, which: int) -> bytes:
    body = struct.pack("=B3x", 0) + netlink.attribute(1, struct.pack("=i", which))
    return message(kind, body)


def heard(*datagrams: bytes, origin: int = number.NONE) -> News:
    gathering = Gathering({2: "eth0", 3: "sdd0"})
    for each in datagrams:
        gathering.route(each, origin)
    return gathering.take()


def of_route(kind: int, maker: int) -> bytes:
    header = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, maker, 253, 1, 0)
    return message(kind, header + netlink.u32(4, 3))


@pytest.mark.parametrize("maker", [route.KERNEL, marks.PROTOCOL], ids=["the kernel", "us"])
def test_a_lost_route_is_news_of_its_link(maker: int) -> None:
    assert heard(of_route(route.DELETE, maker)).links == {"sdd0"}


def test_other_routes_may_be_a_million_and_are_no_news_of_links() -> None:
    for other in (of_route(route.DELETE, 4), of_route(route.NEW, route.KERNEL)):
        assert heard(other) == News(host=True)


def of_replaced(text: str) -> bytes:
    net = ip_network(text)
    family = 2 if net.version == 4 else 10
    header = struct.pack("=BBBBBBBBI", family, net.prefixlen, 0, 0, 254, 3, 0, 1, 0)
    where = netlink.u32(15, 254) + netlink.attribute(1, net.network_address.packed)
    return message(route.NEW, header + where + netlink.u32(4, 2), flags=netlink.REPLACE)


def test_a_replaced_route_is_news_of_its_destination() -> None:
    """The kernel tells of the new one alone, which may lead over any link."""
    found = heard(of_replaced("10.1.0.0/24"), of_replaced("fd70::/64"))
    routes = frozenset({ip_network("10.1.0.0/24"), ip_network("fd70::/64")})
    assert found == News(host=True, routes=routes)
    assert heard(of_replaced("10.1.0.0/24"), origin=THERE) == News(numbers=frozenset({THERE}))
    odd = message(route.NEW, struct.pack("=BBBBBBBBI", 7, 24, 0, 0, 254, 3, 0, 1, 0), flags=0x100)
    assert heard(odd, message(route.NEW, b"\2", flags=0x100)) == News(host=True)


def test_of_a_router_that_replaces_thousands_some_are_heard() -> None:
    many = [of_replaced(f"10.{each // 256}.{each % 256}.0/24") for each in range(1000)]
    assert len(heard(*many).routes) == 256


def test_a_link_is_news_of_the_host_by_its_name() -> None:
    assert heard(of_link("sdd0")) == News(host=True, links=frozenset({"sdd0"}))
    assert heard(of_link("foo", 9, link.DELETE)) == News(host=True, links=frozenset({"foo"}))


def test_a_renamed_link_is_news_of_both_names_once() -> None:
    assert heard(of_link("new", 3)).links == {"sdd0", "new"}
    gathering = Gathering({3: "sdd0"})
    gathering.route(of_link("new", 3), number.NONE)
    gathering.take()
    gathering.route(of_link("new", 3), number.NONE)
    assert gathering.take().links == {"new"}


def test_an_address_is_news_of_its_link() -> None:
    body = struct.pack("=BBBBI", 2, 24, 0, 0, 2)
    assert heard(message(address.NEW, body)).links == {"eth0"}
    unknown = struct.pack("=BBBBI", 2, 24, 0, 0, 77)
    assert heard(message(address.DELETE, unknown)) == News(host=True)


def test_what_happens_elsewhere_is_told_by_number() -> None:
    assert heard(of_link("eth0"), origin=THERE) == News(numbers=frozenset({THERE}))
    gathering = Gathering({})
    gathering.netfilter(message(2560, b""), THERE)
    assert gathering.take() == News(numbers=frozenset({THERE}))
    gathering.netfilter(message(2560, b""), number.NONE)
    assert gathering.take() == News(host=True)


def test_numbers_that_come_and_go() -> None:
    given, taken = of_number(number.NEW, THERE), of_number(number.DELETE, THERE)
    assert heard(given) == News(numbers=frozenset({THERE}))
    assert heard(taken) == News(ended=frozenset({THERE}))
    assert number.of(b"") == number.NONE


@pytest.mark.parametrize(
    "port", [OWN, OWN | 1 << 22, OWN | 511 << 22], ids=["the first socket", "another", "the last"]
)
def test_what_this_process_did_is_no_news(port: int) -> None:
    assert heard(of_link("sdd0", port=port)) == NOTHING


@pytest.mark.parametrize(
    "port",
    [0, OWN + 1, (OWN + 1) | 1 << 22, (1 << 32) - 4097, OWN | 1 << 31],
    ids=[
        "the kernel",
        "a neighbour",
        "its second socket",
        "one without a pid",
        "too high a number",
    ],
)
def test_what_others_did_is_news(port: int) -> None:
    assert heard(of_link("sdd0", port=port)).links == {"sdd0"}


def test_news_are_taken_once_and_losses_are_told() -> None:
    gathering = Gathering({})
    gathering.lose()
    assert gathering.take() == News(lost=True)
    assert gathering.take() == NOTHING


@pytest.mark.parametrize("end", range(0, 44, 3))
def test_a_cut_datagram_raises_nothing(end: int) -> None:
    assert heard(of_link("sdd0")[:end]).links <= {"sdd0"}
    assert not heard(message(link.NEW, b"\0" * (end // 6))).links

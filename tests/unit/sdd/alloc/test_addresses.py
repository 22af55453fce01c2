"""Which address comes next."""

from ipaddress import ip_address, ip_network

import pytest

from sdd.alloc import addresses
from sdd.model import ids, network


def pool(subnet: str, ip_range: str = "") -> network.Pool:
    return network.Pool(
        subnet=ip_network(subnet), ip_range=ip_network(ip_range) if ip_range else None
    )


def taken(*texts: str) -> frozenset[network.IPAddress]:
    return frozenset(map(ip_address, texts))


@pytest.mark.parametrize(
    ("subnet", "ip_range", "first", "last"),
    [
        ("10.0.0.0/24", "", "10.0.0.1", "10.0.0.254"),
        ("10.0.0.0/31", "", "10.0.0.0", "10.0.0.1"),
        ("10.0.0.7/32", "", "10.0.0.7", "10.0.0.7"),
        ("10.0.0.0/24", "10.0.0.128/25", "10.0.0.128", "10.0.0.254"),
        ("10.0.0.0/24", "10.0.0.64/26", "10.0.0.64", "10.0.0.127"),
        ("10.0.0.0/24", "10.0.0.0/25", "10.0.0.1", "10.0.0.127"),
        ("fd00::/64", "", "fd00::1", "fd00::ffff:ffff:ffff:ffff"),
        ("fd00::/127", "", "fd00::", "fd00::1"),
    ],
)
def test_usable(subnet: str, ip_range: str, first: str, last: str) -> None:
    span = addresses.usable(pool(subnet, ip_range))
    assert (span.first, span.last) == (int(ip_address(first)), int(ip_address(last)))


@pytest.mark.parametrize(
    ("after", "held", "expected"),
    [
        (None, (), "10.0.0.1"),
        (None, ("10.0.0.1",), "10.0.0.2"),
        ("10.0.0.3", (), "10.0.0.4"),
        ("10.0.0.6", (), "10.0.0.1"),
        ("10.0.0.6", ("10.0.0.1", "10.0.0.2"), "10.0.0.3"),
        ("10.9.9.9", (), "10.0.0.1"),
        ("10.0.0.3", ("10.0.0.4", "10.0.0.5", "10.0.0.6"), "10.0.0.1"),
    ],
)
def test_upwards_and_round(after: str | None, held: tuple[str, ...], expected: str) -> None:
    cursor = ip_address(after) if after else None
    found = addresses.next_free(pool("10.0.0.0/29"), taken(*held), cursor)
    assert found == ip_address(expected)


def test_full_is_none() -> None:
    held = taken(*(f"10.0.0.{n}" for n in range(1, 7)))
    assert addresses.next_free(pool("10.0.0.0/29"), held, None) is None
    assert addresses.free_count(pool("10.0.0.0/29"), held) == 0


def test_a_range_of_reserved_addresses_only_is_full() -> None:
    assert addresses.next_free(pool("10.0.0.0/24", "10.0.0.255/32"), taken(), None) is None


def test_C73_a_range_of_2_to_the_64_works() -> None:
    huge = pool("fd00::/56", "fd00:0:0:1::/64")
    assert addresses.usable(huge).size == 2**64
    assert addresses.next_free(huge, taken(), None) == ip_address("fd00:0:0:1::")
    last = ip_address("fd00:0:0:1:ffff:ffff:ffff:ffff")
    assert addresses.next_free(huge, taken(), last) == ip_address("fd00:0:0:1::")


def test_the_second_pool_is_used_when_the_first_is_full() -> None:
    net = network.Network(
        id=ids.NetworkId("a"), name="n", pools=(pool("10.0.0.0/30"), pool("10.1.0.0/30"))
    )
    held = taken("10.0.0.1", "10.0.0.2")
    found = addresses.next_of(net, 4, held, lambda _: None)
    assert found == (net.pools[1], ip_address("10.1.0.1"))
    assert addresses.next_of(net, 6, held, lambda _: None) is None

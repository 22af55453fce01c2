"""How full a network is, with the numbers Docker's own test expects."""

from ipaddress import ip_address, ip_network

from sdd.alloc import usage
from sdd.model import ids, network


def net(*pools: network.Pool) -> network.Network:
    return network.Network(id=ids.NetworkId("a"), name="n", pools=pools)


def pool(subnet: str, ip_range: str, gateway: str, *aux: str) -> network.Pool:
    return network.Pool(
        subnet=ip_network(subnet),
        ip_range=ip_network(ip_range) if ip_range else None,
        gateway=ip_address(gateway),
        aux={f"aux{n}": ip_address(each) for n, each in enumerate(aux)},
    )


def counts(one: network.Network, *held: str) -> list[tuple[int, int]]:
    return [(each.in_use, each.free) for each in usage.of(one, map(ip_address, held))]


def test_C158_a_small_range_in_a_large_subnet() -> None:
    one = net(pool("10.0.0.0/24", "10.0.0.2/31", "10.0.0.1", "10.0.0.3", "10.0.0.200"))
    assert counts(one) == [(5, 1)]
    assert counts(one, "10.0.0.2") == [(6, 0)]
    assert counts(one, "10.0.0.2", "10.0.0.77") == [(7, 0)]


def test_C158_ipv6_counts_the_anycast_address() -> None:
    one = net(pool("fd00::/64", "fd00::100/120", "fd00::1"))
    assert counts(one) == [(2, 256)]
    assert counts(one, "fd00::100") == [(3, 255)]


def test_every_subnet_is_counted_by_itself() -> None:
    one = net(pool("10.0.0.0/30", "", "10.0.0.1"), pool("10.1.0.0/31", "", "10.1.0.0"))
    assert counts(one, "10.1.0.1") == [(3, 1), (2, 0)]

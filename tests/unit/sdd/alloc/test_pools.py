"""Which subnet comes next."""

from ipaddress import ip_network

import pytest

from sdd.alloc import pools
from sdd.model import ids, network


def test_docker_s_default_pools_give_31_networks() -> None:
    assert sum(template.pieces for template in pools.DEFAULT_POOLS) == 31
    used: list[network.IPNetwork] = []
    while (found := pools.first_free(pools.DEFAULT_POOLS, used, version=4)) is not None:
        used.append(found)
    assert len(used) == 31
    assert [str(used[n]) for n in (0, 1, 3, 14, 15, 30)] == [
        "172.17.0.0/16",
        "172.18.0.0/16",
        "172.20.0.0/16",
        "172.31.0.0/16",
        "192.168.0.0/20",
        "192.168.240.0/20",
    ]


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (("172.17.0.0/24",), "172.18.0.0/16"),
        (("172.16.0.0/12",), "192.168.0.0/20"),
        (("172.16.0.0/12", "192.168.1.0/24", "192.168.16.9/32"), "192.168.32.0/20"),
        (("0.0.0.0/0",), None),
        (("::/0",), "172.17.0.0/16"),
    ],
)
def test_what_is_used_is_passed_over(used: tuple[str, ...], expected: str | None) -> None:
    found = pools.first_free(pools.DEFAULT_POOLS, map(ip_network, used), version=4)
    assert found == (ip_network(expected) if expected else None)


def test_a_size_may_be_asked_for() -> None:
    used = [ip_network("172.17.0.0/26")]
    found = pools.first_free(pools.DEFAULT_POOLS, used, version=4, size=26)
    assert found == ip_network("172.17.0.64/26")
    assert pools.first_free(pools.DEFAULT_POOLS, [], version=4, size=13) is None
    assert pools.first_free(pools.DEFAULT_POOLS, [], version=4, size=15) == ip_network(
        "172.20.0.0/15"
    )


def test_a_node_has_an_ipv6_pool_of_its_own() -> None:
    one, other = pools.ula(ids.NodeId("a")), pools.ula(ids.NodeId("b"))
    assert one == pools.ula(ids.NodeId("a"))
    assert one.base != other.base
    assert one.base.subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]  # both are IPv6
    assert (one.base.prefixlen, one.size, one.pieces) == (48, 64, 65536)


def test_a_template_cannot_be_cut_larger() -> None:
    with pytest.raises(ValueError, match="/15"):
        pools.PoolTemplate(base=ip_network("10.0.0.0/16"), size=15)


def test_overlap_names_the_other() -> None:
    others = [ip_network("10.0.0.0/16"), ip_network("fd00::/8")]
    assert pools.overlap(ip_network("10.0.7.0/24"), others) == others[0]
    assert pools.overlap(ip_network("10.0.0.0/8"), others) == others[0]
    assert pools.overlap(ip_network("fd00::/64"), others) == others[1]
    assert pools.overlap(ip_network("11.0.0.0/8"), others) is None

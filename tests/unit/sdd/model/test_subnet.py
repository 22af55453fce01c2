from ipaddress import ip_network

import pytest

from sdd.model import subnet


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0/8", "0.1.0.0/24", "127.0.0.0/16", "169.254.7.0/24", "224.1.0.0/16"),
        *("240.0.0.0/24", "255.255.255.0/24", "0.0.0.0/0", "128.0.0.0/1", "fe80::/64"),
        *("ff02::/64", "::/64", "::/0"),
    ],
)
def test_no_network_can_have_these(text: str) -> None:
    assert subnet.unusable(ip_network(text)).startswith("holds ")


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "1.0.0.0/8"]
)
def test_a_network_can_have_these(text: str) -> None:
    assert subnet.unusable(ip_network(text)) == ""
    assert subnet.unusable(ip_network("fd00::/8")) == subnet.unusable(ip_network("2001:db8::/32"))


def test_families_never_overlap() -> None:
    assert not subnet.overlaps(ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert subnet.overlaps(ip_network("10.0.0.0/8"), ip_network("10.9.0.0/16"))
    assert subnet.overlaps(ip_network("10.9.0.0/16"), ip_network("10.0.0.0/8"))

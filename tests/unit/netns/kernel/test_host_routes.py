from ipaddress import ip_network

import pytest

from netns.kernel.host_routes import Near

NEAR = Near(
    [ip_network(each) for each in ("10.1.0.0/16", "10.1.2.0/24", "10.3.0.0/16", "fd00::/48")]
)


@pytest.mark.parametrize(
    ("prefix", "is_near"),
    [
        ("0.0.0.0/0", True),
        ("10.0.0.0/16", False),
        ("10.0.0.0/15", True),
        ("10.1.0.0/32", True),
        ("10.1.255.255/32", True),
        ("10.2.0.0/16", False),
        ("10.3.7.0/24", True),
        ("10.4.0.0/14", False),
        ("192.168.0.0/16", False),
        ("fd00::/16", True),
        ("fd00:0:1::/48", False),
        ("::/96", False),
    ],
)
def test_what_shares_addresses_with_the_prefixes_is_near(prefix: str, is_near: bool) -> None:
    there = ip_network(prefix)
    ends = (there.version, int(there.network_address), int(there.broadcast_address))
    assert (ends in NEAR) == is_near


def test_nothing_is_near_nothing() -> None:
    assert (4, 0, 2**32 - 1) not in Near([])
    assert None not in NEAR

"""An address that names a link of one host is none that anybody else could use."""

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from sdd.model import address


@pytest.mark.parametrize("text", ["10.0.0.1", "fd00::1", "fe80::1", "::"])
def test_an_address_is_what_python_says(text: str) -> None:
    assert address.parse(text) == ip_address(text)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "fd31::99%1", "::%lo", "fe80::1%"])
def test_a_zone_is_refused_and_the_rest_is_offered(text: str) -> None:
    bare = text.partition("%")[0]
    for parse in (address.parse, address.parse_v6):
        with pytest.raises(address.Zoned, match=f"leave it out: {bare}$"):
            parse(text)


@pytest.mark.parametrize("text", ["10.0.0.1%eth0", "%", "eth0", "fd00::/64"])
def test_what_is_no_address_at_all_is_not_called_one_with_a_zone(text: str) -> None:
    with pytest.raises(ValueError, match="appear") as caught:
        address.parse(text)
    assert not isinstance(caught.value, address.Zoned)


def test_a_prefix_keeps_its_length() -> None:
    assert address.without_zone("fd37::%1/64") == "fd37::/64"


def test_what_older_releases_stored_is_known_by_its_zone() -> None:
    zoned = (ip_address("fe80::1%a"), ip_interface("fd00::1%a/64"), ip_network("fd00::%a/64"))
    plain = (ip_address("fe80::1"), ip_interface("fd00::1/64"), ip_network("10.0.0.0/8"), "a%b")
    assert all(map(address.is_zoned, zoned))
    assert not any(map(address.is_zoned, plain))
    address.check_stored(*plain, None)
    for each in zoned:
        with pytest.raises(address.Zoned):
            address.check_stored(*plain, each)

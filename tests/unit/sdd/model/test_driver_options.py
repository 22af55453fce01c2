"""What driver options may say, and that the refusal names what is wrong."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from sdd.model import bridge, child, network
from sdd.model.bridge import GatewayMode
from tests.netns_states import net

B = "com.docker.network.bridge."


def test_the_defaults_are_dockers() -> None:
    assert bridge.of(net("plain", "10.1.0.0/24")) == bridge.Bridge()
    assert bridge.Bridge().icc
    assert bridge.Bridge().masquerade
    assert bridge.Bridge().mode(4) is bridge.Bridge().mode(6) is GatewayMode.NAT


def test_every_option_reaches_its_field() -> None:
    given = {
        "bridge.name": "br0",
        "driver.mtu": "1400",
        "bridge.enable_icc": "false",
        "bridge.enable_ip_masquerade": "0",
        "bridge.gateway_mode_ipv4": "routed",
        "bridge.gateway_mode_ipv6": "nat-unprotected",
        "bridge.inhibit_ipv4": "true",
        "bridge.default_bridge": "false",
        "bridge.host_binding_ipv4": "192.0.2.1",
        "bridge.trusted_host_interfaces": "eth0:eth1",
        "host_ipv4": "192.0.2.2",
        "host_ipv6": "2001:db8::2",
        "container_iface_prefix": "net",
    }
    found = bridge.of(net("full", "10.1.0.0/24", options=given))
    ours = {network.OPTION_FORWARD_UNKNOWN, network.OPTION_DUPLICATE_PROBE}
    assert len(given) == len(bridge.OPTIONS.keys() - ours)
    assert (found.name, found.mtu, found.icc, found.masquerade) == ("br0", 1400, False, False)
    assert (found.mode(4), found.mode(6)) == (GatewayMode.ROUTED, GatewayMode.NAT_UNPROTECTED)
    assert (found.has_gateway(4), found.has_gateway(6)) == (False, True)
    assert (found.source(4), found.source(6)) == (
        ip_address("192.0.2.2"),
        ip_address("2001:db8::2"),
    )
    assert found.trusted == {"eth0", "eth1"}
    assert (found.binding4, found.prefix) == (ip_address("192.0.2.1"), "net")


@pytest.mark.parametrize(
    ("key", "text", "word"),
    [
        (f"{B}enable_icc", "maybe", "true or false"),
        (f"{B}default_bridge", "true", "called bridge"),
        (f"{B}gateway_mode_ipv4", "natty", "nat-unprotected"),
        (f"{B}trusted_host_interfaces", "eth0::eth1", "1 to 15"),
        (f"{B}host_binding_ipv4", "::1", "IPv4"),
        ("com.docker.network.host_ipv6", "10.0.0.1", "IPv6"),
        ("com.docker.network.container_iface_prefix", "eth0", "last no digit"),
        ("com.docker.network.container_iface_prefix", "a" * 12, "11 characters"),
        (network.OPTION_BRIDGE_NAME, "..", "link name"),
        (network.OPTION_MTU, "67", "65535"),
        (network.OPTION_MTU, "¹", "65535"),
    ],
)
def test_a_text_that_makes_no_sense_is_told(key: str, text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        bridge.OPTIONS[key].parse(text)
    assert repr(text) in str(caught.value) or "::" in text


def test_a_network_forwards_unknown_names_only_when_told_to() -> None:
    plain = net("plain", "10.1.0.0/24")
    assert not plain.forwards_unknown
    told = replace(plain, options={network.OPTION_FORWARD_UNKNOWN: "1"})
    assert told.forwards_unknown
    assert bridge.of(told).forward_unknown


@pytest.mark.parametrize("word", ["1", "t", "TRUE", "true", "0", "f", "False"])
def test_truth_is_spelt_as_go_does(word: str) -> None:
    assert bridge.OPTIONS[f"{B}enable_icc"].parse(word) is (word in ("1", "t", "TRUE", "true"))


@pytest.mark.parametrize(
    ("name", "vlan"),
    [
        ("eth0.100", child.Vlan("eth0", 100)),
        ("eth0.4094", child.Vlan("eth0", 4094)),
        ("lo.10", child.Vlan("lo", 10)),
        ("eth0", None),
        ("eth0.0", None),
        ("eth0.4095", None),
        ("eth0.10.20", None),
        ("lo:10", None),
        (".5", None),
        ("", None),
    ],
)
def test_C118_only_a_link_and_a_tag_make_a_vlan(name: str, vlan: child.Vlan | None) -> None:
    assert child.to_vlan(name) == vlan


@pytest.mark.parametrize(
    ("driver", "key", "text", "word"),
    [
        (network.Driver.MACVLAN, "macvlan_mode", "hub", "passthru"),
        (network.Driver.MACVLAN, "parent", "lo", "loopback"),
        (network.Driver.IPVLAN, "ipvlan_mode", "l4", "l3s"),
        (network.Driver.IPVLAN, "ipvlan_flag", "open", "vepa"),
        (network.Driver.IPVLAN, "parent", "a/b", "link name"),
    ],
)
def test_C121_a_bad_mode_or_flag_is_named(
    driver: network.Driver, key: str, text: str, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        child.OPTIONS[driver][key].parse(text)

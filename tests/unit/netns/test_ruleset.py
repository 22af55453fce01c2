"""The text of the table: the same rules for any number of networks."""

from ipaddress import ip_address, ip_network
from typing import Any

from netns import firewall, ruleset


def side(subnet: str, **how: Any) -> firewall.Side:
    return firewall.Side(subnet=ip_network(subnet), **how)


OPEN = firewall.Fence(device="br-a", sides=frozenset({side("10.1.0.0/24"), side("fd01::/64")}))
INNER = firewall.Fence(device="br-b", sides=frozenset({side("10.2.0.0/24")}), internal=True)


def table(*fences: firewall.Fence) -> str:
    return ruleset.text(firewall.Table(frozenset(fences)))


def rules(text: str) -> str:
    return text[text.index("    chain forward") :]


def test_no_networks_no_table() -> None:
    assert table() == ruleset.DROP


def test_an_open_network_is_masqueraded_except_at_home() -> None:
    text = table(OPEN)
    assert "elements = { 10.1.0.0/24 }" in text
    assert 'elements = { 10.1.0.0/24 . "br-a" }' in text
    assert 'elements = { fd01::/64 . "br-a" }' in text


def test_an_internal_network_is_listed_as_such_and_never_masqueraded() -> None:
    text = table(INNER)
    assert text.count('elements = { "br-b" }') == 2
    assert "10.2.0.0/24" not in text


def test_frames_within_an_internal_network_keep_their_source_with_br_netfilter() -> None:
    """Who is seen there may be of a network that is masqueraded elsewhere."""
    postrouting = table(OPEN, INNER).partition("chain postrouting")[2]
    assert postrouting.index("oifname @internal return") < postrouting.index("masquerade")


def test_the_rules_do_not_depend_on_the_networks() -> None:
    assert rules(table(OPEN)) == rules(table(OPEN, INNER))


def test_the_order_of_networks_does_not_matter() -> None:
    assert table(OPEN, INNER) == table(INNER, OPEN)


def test_what_a_network_allows_is_an_element_of_a_set() -> None:
    routed = side("10.3.0.0/24", way=firewall.Way.ROUTED, masked=False)
    opened = side("fd03::/64", way=firewall.Way.OPEN, source=ip_address("2001:db8::1"))
    fence = firewall.Fence(
        device="br-c",
        sides=frozenset({routed, opened}),
        is_social=False,
        trusted=frozenset({"up1", "up0"}),
    )
    text = table(fence)
    for listed in (
        'elements = { "up0" . "br-c", "up1" . "br-c" }',
        'elements = { ipv4 . "br-c" }',
        'elements = { ipv6 . "br-c" }',
        "elements = { fd03::/64 : 2001:db8::1 }",
        'elements = { fd03::/64 . "br-c" }',
    ):
        assert text.count(listed) == 1
    assert "10.3.0.0/24" not in text
    assert '"br-c" . "br-c"' not in text


def test_guarded_versions_are_listed() -> None:
    text = ruleset.text(firewall.Table(frozenset({OPEN}), guarded=frozenset({4, 6})))
    assert "elements = { ipv4, ipv6 }" in text

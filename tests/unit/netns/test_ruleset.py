"""The text of the table: the same rules for any number of networks."""

from ipaddress import ip_network

from netns import firewall, ruleset

OPEN = firewall.Fence(
    device="br-a", subnets=frozenset({ip_network("10.1.0.0/24"), ip_network("fd01::/64")})
)
INNER = firewall.Fence(device="br-b", subnets=frozenset({ip_network("10.2.0.0/24")}), internal=True)


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


def test_the_rules_do_not_depend_on_the_networks() -> None:
    assert rules(table(OPEN)) == rules(table(OPEN, INNER))


def test_the_order_of_networks_does_not_matter() -> None:
    assert table(OPEN, INNER) == table(INNER, OPEN)

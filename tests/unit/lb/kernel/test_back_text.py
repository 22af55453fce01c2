"""Ways back as nft text, and read from the comments again."""

from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.back import BASE, Back, Home, Node
from lb.kernel import back_text, mark_routes

WEB, INNER = ip_address("10.1.0.2"), ip_address("10.0.0.10")
GATEWAYS = (ip_address("10.0.0.2"), ip_address("fd00::2"))
ONE = Back(
    link="ing0",
    own=(INNER,),
    homes=(
        Home(clients=ip_network("10.1.0.0/24"), address=WEB),
        Home(clients=ip_network("0.0.0.0/0"), address=WEB),
    ),
    nodes=(Node(mac="02:42:0a:00:00:02", mark=BASE | 2, gateways=GATEWAYS),),
    lost=(6,),
)


def comments(back: Back) -> dict[str, list[str]]:
    return {back_text.RECORD: back_text.comments(back)}


def test_the_narrower_home_comes_first() -> None:
    text = back_text.text(ONE)
    near = text.index("ip saddr map { 10.1.0.0/24 : 10.1.0.2 }")
    assert near < text.index("ip daddr 10.0.0.10 dnat ip to 10.1.0.2")
    assert 'iifname "ing0" meta mark set ether saddr map { 02:42:0a:00:00:02 : 0x5e000002 }' in text


def nodes() -> st.SearchStrategy[Node]:
    macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
    gateways = st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=6))
    return st.builds(
        lambda mac, mark, found: Node(mac=mac, mark=mark, gateways=found),
        macs,
        st.integers(BASE, BASE | 0xFFFFFF),
        gateways,
    )


@given(
    st.lists(nodes(), max_size=5),
    st.lists(st.ip_addresses(v=6), max_size=3),
    st.sets(st.sampled_from((4, 6))),
)
def test_what_was_written_is_read(
    found: list[Node], own: list[IPv6Address], lost: set[int]
) -> None:
    back = Back(
        link="ing0",
        own=tuple(own),
        homes=tuple(Home(clients=ip_network(f"{each}/128"), address=each) for each in own),
        beside=tuple(
            Home(clients=ip_network(f"{each}/64", strict=False), address=each) for each in own
        ),
        nodes=tuple(found),
        lost=tuple(sorted(lost)),
    )
    assert back_text.back_of(comments(back)) == back
    assert all(len(each) < COMMENT for each in back_text.comments(back))


COMMENT = 128  # what nft takes


@given(st.lists(st.text(max_size=60), max_size=4))
def test_anything_else_is_not_ours(lines: list[str]) -> None:
    assert back_text.back_of({back_text.RECORD: lines}) is None


@pytest.mark.parametrize("at", range(len(back_text.comments(ONE))))
def test_a_record_that_lost_a_line_is_not_whole(at: int) -> None:
    lines = back_text.comments(ONE)
    assert back_text.back_of({back_text.RECORD: lines[:at] + lines[at + 1 :]}) is None


def test_rules_and_routes_are_one_per_node_and_version_and_a_last_resort() -> None:
    assert mark_routes.rules(ONE) == {
        mark_routes.Rule(4, mark_routes.MARKED, BASE | 2, BASE | 2),
        mark_routes.Rule(6, mark_routes.MARKED, BASE | 2, BASE | 2),
        mark_routes.Rule(6, mark_routes.LAST, 0, BASE | 2),
    }
    assert mark_routes.routes(ONE, 7) == {mark_routes.Route(BASE | 2, each, 7) for each in GATEWAYS}

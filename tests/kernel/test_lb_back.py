"""Ways back to ingress sandboxes on this machine's kernel: written, read, changed, taken away."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from lb import plan, table
from lb.back import BASE, DAMAGED, Back, Home, Node
from lb.kernel.ingress import IngressKernel
from lb.kernel.nftables import NftablesKernel
from sdd.linux import namespaces
from tests.kernel.spaces import Space, Spaces

pytestmark = pytest.mark.kernel


def node(number: int) -> Node:
    gateways = (ip_address(f"10.0.0.{number}"), ip_address(f"fd00::{number:x}"))
    return Node(mac=f"02:42:0a:00:00:{number:02x}", mark=BASE | number, gateways=gateways)


ONE = Back(
    link="ing0",
    own=(ip_address("10.0.0.250"), ip_address("fd00::fa")),
    homes=(Home(clients=ip_network("10.1.0.0/24"), address=ip_address("10.1.0.2")),),
    beside=(
        Home(clients=ip_network("10.0.0.0/24"), address=ip_address("10.1.0.2")),
        Home(clients=ip_network("fd00::/64"), address=ip_address("fd01::2")),
    ),
    nodes=(node(2),),
    lost=(4, 6),
)
MANY = replace(ONE, nodes=tuple(map(node, range(2, 200))))
OTHERS = (
    ("ip", "rule", "add", "pref", "77", "fwmark", "7", "lookup", "77"),
    ("ip", "route", "add", "10.99.0.0/24", "dev", "ing0", "table", "77"),
    ("nft", "add", "table", "inet", "theirs"),
)


@pytest.fixture
def member(spaces: Spaces) -> Space:
    made = spaces.make("member")
    made.run("ip", "link", "add", "ing0", "type", "veth", "peer", "name", "far0")
    made.run("ip", "link", "set", "far0", "up")
    made.run("ip", "addr", "add", "10.0.0.250/24", "dev", "ing0")
    made.run("ip", "addr", "add", "fd00::fa/64", "dev", "ing0", "nodad")
    made.run("ip", "link", "set", "ing0", "up")
    made.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far1")
    made.run("ip", "link", "set", "far1", "up")
    made.run("ip", "link", "set", "eth0", "up")
    made.run("ip", "addr", "add", "10.1.0.2/24", "dev", "eth0")
    made.run("ip", "addr", "add", "fd01::2/64", "dev", "eth0", "nodad")
    return made


@pytest.fixture
def kernel() -> Iterator[IngressKernel]:
    doors = namespaces.Namespaces()
    yield IngressKernel(doors, NftablesKernel(doors))
    doors.close()


def place_of(member: Space) -> table.Place:
    return table.Place(netns=member.path, is_member=True)


async def bring(
    kernel: IngressKernel, place: table.Place, back: Back | None
) -> Sequence[plan.Step]:
    have = await kernel.read(place)
    steps = plan.diff(have, table.Table(back=back))
    assert (await kernel.apply(place, have, steps)).refusals == ()
    assert (await kernel.read(place)).back == back
    return steps


async def test_more_nodes_are_more_entries_and_each_state_is_read_back(
    kernel: IngressKernel, member: Space
) -> None:
    place = place_of(member)
    for back in (ONE, MANY, replace(ONE, lost=()), replace(ONE, homes=(), beside=()), ONE, None):
        assert len(await bring(kernel, place, back)) == 1
        assert await bring(kernel, place, back) == ()
    assert "24000" not in member.run("ip", "rule")
    assert "proto 94" not in member.run("ip", "route", "show", "table", "all")


async def test_B9_44_a_node_that_is_gone_leaves_no_mark_rule_or_route(
    kernel: IngressKernel, member: Space
) -> None:
    await bring(kernel, place_of(member), replace(ONE, nodes=(node(2), node(3))))
    await bring(kernel, place_of(member), ONE)
    for command in (
        ("ip", "rule"),
        ("ip", "-6", "rule"),
        ("nft", "list", "ruleset"),
    ):
        assert "5e000003" not in member.run(*command)
    assert str(BASE | 3) not in member.run("ip", "route", "show", "table", "all")


async def test_B9_26_what_others_have_stays(kernel: IngressKernel, member: Space) -> None:
    for command in OTHERS:
        member.run(*command)
    before = member.run("ip", "rule") + member.run("ip", "route", "show", "table", "77")
    await bring(kernel, place_of(member), MANY)
    await bring(kernel, place_of(member), None)
    assert member.run("ip", "rule") + member.run("ip", "route", "show", "table", "77") == before
    assert "theirs" in member.run("nft", "list", "tables")


@pytest.mark.parametrize(
    "damage",
    [
        "nft delete table inet sdd-ingress",
        "nft flush chain inet sdd-ingress record",
        "nft add rule inet sdd-ingress record accept",
        "nft add table inet sdd-ingress { flags dormant; }",
        "ip rule del pref 24000",
        "ip -6 rule del pref 33000",
        "ip rule del pref 24001",
        "ip -6 rule del pref 24001",
        "ip route flush table 1577058304",
        "ip -6 route flush table 1577058304",
        "ip rule add pref 5 lookup 9 protocol 94",
        "ip route flush proto 94 table all",
        "ip route add default via 10.0.0.9 dev ing0 table 1577058307 proto 94",
        "ip route replace default via 10.0.0.9 dev ing0 table 1577058306",
        "ip -6 route replace default via fd00::9 dev ing0 table 1577058306",
        "ip route replace 10.0.0.0/24 dev ing0 src 10.0.0.250 table 1577058304",
        "ip -6 route replace fd00::/64 dev ing0 src fd00::fa table 1577058304",
        "ip link set ing0 down",
    ],
)
async def test_what_hands_change_is_seen_and_mended(
    kernel: IngressKernel, member: Space, damage: str
) -> None:
    await bring(kernel, place_of(member), ONE)
    member.run(*damage.split())
    assert (await kernel.read(place_of(member))).back == DAMAGED
    member.run("ip", "addr", "replace", "fd00::fa/64", "dev", "ing0", "nodad")
    member.run("ip", "link", "set", "ing0", "up")
    await bring(kernel, place_of(member), ONE)


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize(
    ("chain", "rule"),
    [
        ("arriving", 'iifname "ing0" accept'),
        ("asked", 'iifname "ing0" ip daddr 10.0.0.250 dnat ip to 10.1.0.9'),
        ("answering", "accept"),
        ("closed", "accept"),
    ],
)
async def test_a_rule_that_hands_replaced_with_its_comment_is_seen_and_mended(
    member: Space, chain: str, rule: str, is_restarted: bool
) -> None:
    with contextlib.closing(namespaces.Namespaces()) as doors:
        kernel = IngressKernel(doors, NftablesKernel(doors))
        await bring(kernel, place_of(member), ONE)
        assert (await kernel.read(place_of(member))).back == ONE
        listed = member.run("nft", "-a", "list", "chain", "inet", "sdd-ingress", chain)
        comment, handle = re.findall(r'comment "([^"]*)" # handle (\d+)', listed)[0]
        replaced = f"replace rule inet sdd-ingress {chain} handle {handle} {rule}"
        member.run("nft", f'{replaced} comment "{comment}"')
        if is_restarted:
            kernel = IngressKernel(doors, NftablesKernel(doors))
        assert (await kernel.read(place_of(member))).back == DAMAGED
        await bring(kernel, place_of(member), ONE)
        assert f"{rule} comment" not in member.run(
            "nft", "list", "chain", "inet", "sdd-ingress", chain
        )


async def test_a_socket_of_no_address_answers_the_ingress_sandbox_from_its_usual_one(
    kernel: IngressKernel, member: Space
) -> None:
    await bring(kernel, place_of(member), ONE)
    assert "src 10.1.0.2" in member.run("ip", "route", "get", "10.0.0.2")
    assert "src fd01::2" in member.run("ip", "route", "get", "fd00::2")
    assert "src 10.0.0.250" not in member.run("ip", "route", "get", "10.0.0.2")


async def test_a_link_that_is_not_there_yet_is_waited_for(
    kernel: IngressKernel, member: Space
) -> None:
    early = replace(ONE, link="ing9")
    place = place_of(member)
    have = await kernel.read(place)
    steps = plan.diff(have, table.Table(back=early))
    (refusal,) = (await kernel.apply(place, have, steps)).refusals
    assert refusal.code == "SDD-LB-NOTYET"


async def test_what_a_former_daemon_left_is_found_where_nothing_is_wanted(
    kernel: IngressKernel, member: Space
) -> None:
    await bring(kernel, place_of(member), ONE)
    doors = namespaces.Namespaces()
    fresh = IngressKernel(doors, NftablesKernel(doors))
    place = table.Place(netns=member.path)
    assert (await fresh.read(place)).back == ONE
    await bring(fresh, place, None)
    doors.close()

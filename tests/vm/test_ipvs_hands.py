"""IPVS: what hands do to a sandbox is seen, told and mended. Needs the lab kernel."""

import asyncio
from collections.abc import Iterator

import pytest

from lb import plan, repairs, table
from lb.kernel import ipvs
from tests.kernel import lb_traffic
from tests.kernel.lb_town import VIP, Town

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    built = Town("hands")
    yield built
    built.close()


@pytest.fixture
def kernel(town: Town) -> Iterator[ipvs.IpvsKernel]:
    found = ipvs.available()
    assert found is not None, "the lab kernel has ip_vs"
    opened = ipvs.IpvsKernel(town.doors, found[0])
    yield opened
    asyncio.run(lb_traffic.put(opened, town))


@pytest.fixture
def place(town: Town) -> table.Place:
    return town.place()


@pytest.mark.parametrize(
    "damage",
    [
        "ipvsadm -C",
        "ipvsadm -d -f 1560281090 -r 10.77.0.1:0",
        "ipvsadm -e -f 1560281090 -r 10.77.0.1:0 -m -w 9",
        "ipvsadm -e -f 1560281091 -r 10.77.0.1:0 -m -w 9",
        "ipvsadm -E -f 1560281090 -s fo",
        "ipvsadm -E -f 1560281091 -s lc",
        "ipvsadm -E -f 1560281090 -s rr -p 60",
        "ipvsadm -E -f 1560281090 -s rr -M 255.255.255.0",
        "ipvsadm -a -f 1560281090 -r 10.77.0.9:81 -m -w 1",
        "ipvsadm -a -f 1560281090 -r 10.77.0.1:81 -m -w 1",
        "ipvsadm -a -f 1560281090 -r 10.77.0.9:0 -g -w 1",
        "ipvsadm -e -f 1560281090 -r 10.77.0.1:0 -g -w 1",
        "ipvsadm -e -f 1560281090 -r 10.77.0.1:0 -m -w 1 -x 5 -y 2",
        "ipvsadm -A -f 1560346608 -s rr",
        "ipvsadm --set 10 10 10",
        "nft delete table inet sdd-lb",
        "nft flush chain inet sdd-lb output",
        "nft flush map inet sdd-lb mark4",
        "nft delete element inet sdd-lb own4 { 10.77.0.200 }",
        "nft delete element inet sdd-lb up4 { 10.77.0.200 }",
        "nft add table inet sdd-lb { flags dormant; }",
        "ip route del local 10.77.0.200 table local",
        "ip route add local 10.77.0.250 dev lo table local proto 93",
        "sysctl -qw net.ipv4.vs.expire_nodest_conn=0",
    ],
)
async def test_what_hands_change_is_seen_and_mended(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place, damage: str
) -> None:
    await lb_traffic.put(kernel, town, lb_traffic.service(town))
    want = await kernel.read(place)
    town.inside("client", *damage.split())
    have = await kernel.read(place)
    steps = plan.diff(have, want)
    assert steps
    assert (await kernel.apply(place, have, steps)).refusals == ()
    assert await kernel.read(place) == want
    assert lb_traffic.shares(town, 9) == {"b1": 3, "b2": 3, "b3": 3}


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize(
    ("chain", "rule"),
    [
        ("output", "ip daddr 10.77.0.200 accept"),
        ("refuse", "ip daddr @own4 accept"),
        ("refused", "meta l4proto tcp drop"),
    ],
)
async def test_a_rule_that_hands_replaced_with_its_comment_is_seen_and_mended(
    town: Town, place: table.Place, chain: str, rule: str, is_restarted: bool
) -> None:
    found = ipvs.available()
    assert found is not None
    kernel = ipvs.IpvsKernel(town.doors, found[0])
    await lb_traffic.put(kernel, town, lb_traffic.service(town))
    want = await kernel.read(place)
    assert want.flaws == ()
    town.edit("client", chain, 0, rule)
    if is_restarted:
        kernel = ipvs.IpvsKernel(town.doors, found[0])
    have = await kernel.read(place)
    assert [each.what for each in have.flaws] == [
        f"the rules of the chain '{chain}' do not do what they say"
    ]
    assert (await kernel.apply(place, have, plan.diff(have, want))).refusals == ()
    assert await kernel.read(place) == want
    assert lb_traffic.shares(town, 9) == {"b1": 3, "b2": 3, "b3": 3}
    await lb_traffic.put(kernel, town)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("ipvsadm -C", {f"{VIP} was gone"}),
        ("ipvsadm -D -f 1560281090", {f"{VIP} was gone"}),
        ("nft delete table inet sdd-lb", {f"{VIP} was gone", "the table inet sdd-lb was gone"}),
        (
            "nft flush map inet sdd-lb number4",
            {f"{VIP} was gone", f"the marks of {VIP} are not as sdd writes them"},
        ),
        (f"ip route del local {VIP} table local", {"its local route is gone"}),
        (
            "ip route add local 10.77.0.250 dev lo table local proto 93",
            {"the local route to 10.77.0.250 belongs to no virtual address"},
        ),
        (
            "ipvsadm -A -f 1560346608 -s rr",
            {"the IPVS service 0x5d00fff0 belongs to no virtual address"},
        ),
    ],
)
async def test_what_hands_did_is_told_and_nothing_else(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place, damage: str, told: set[str]
) -> None:
    await lb_traffic.put(kernel, town, lb_traffic.service(town))
    want = await kernel.read(place)
    town.inside("client", *damage.split())
    have = await kernel.read(place)
    steps = plan.diff(have, want)
    about = {plan.subject(each) for each in steps}
    found = (
        repairs.told(have, [each for each in steps if plan.subject(each) == one]) for one in about
    )
    assert set(found) == told
    assert (await kernel.apply(place, have, steps)).refusals == ()
    assert await kernel.read(place) == want

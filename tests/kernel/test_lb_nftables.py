"""nftables balances: the contract, the traffic, and what hands can do to our table."""

import asyncio
import contextlib
import itertools
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from lb import plan, table
from lb.kernel import nft_text
from lb.kernel.nftables import NftablesKernel
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler
from tests.contract import lb_kernel
from tests.kernel import lb_as_text, lb_counts, lb_soak, lb_town, lb_traffic
from tests.kernel.lb_town import VIP, Town
from tests.support import eventually

pytestmark = pytest.mark.kernel
RESTING = ip_address("10.77.2.1")  # nobody is there


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    built = Town("nft")
    yield built
    built.close()


@pytest.fixture
def kernel(town: Town) -> Iterator[NftablesKernel]:
    opened = NftablesKernel(town.doors)
    yield opened
    asyncio.run(lb_traffic.put(opened, town))


@pytest.fixture
def place(town: Town) -> table.Place:
    return town.place()


class TestContract(lb_kernel.LbKernelContract):
    """The suite of the fake."""


class TestCounts(lb_counts.LbCounts):
    """What nftables and conntrack count."""


class TestTraffic(lb_traffic.LbTraffic):
    """The suite of IPVS."""


@pytest.mark.parametrize("scheduler", list(Scheduler))
@pytest.mark.parametrize("persistence_s", [0, 60])
async def test_our_requests_list_as_nfts_text_does(
    kernel: NftablesKernel, town: Town, scheduler: Scheduler, persistence_s: int
) -> None:
    bare = (
        lb_kernel.virtual(lb_kernel.WEB, 3, 1, 0, 2),
        lb_kernel.virtual(lb_kernel.WEB6, 1, 2),
        lb_kernel.virtual(lb_kernel.API, 5, number=8),
        lb_kernel.virtual(ip_address("10.77.0.202"), number=9),
        lb_kernel.virtual(ip_address("10.77.0.203"), 1, 100, number=10),
        lb_kernel.virtual(ip_address("fd77::203"), *[1] * 11, number=11),
    )
    services = [replace(each, scheduler=scheduler, persistence_s=persistence_s) for each in bare]
    await lb_traffic.put(kernel, town, *services)
    ours = town.nft("client", "list table inet sdd-lb")
    assert ours == as_nft_lists(town, *services)


def as_nft_lists(town: Town, *services: table.VirtualService) -> str:
    """The listing of these after nft itself made them, in place of what is there."""
    town.nft("client", "delete table inet sdd-lb")
    town.nft("client", lb_as_text.whole(lb_kernel.table_of(*services)))
    return town.nft("client", "list table inet sdd-lb")


# Many slots


MANY = replace(lb_kernel.virtual(VIP, 1, 100), scheduler=Scheduler.MH)
OTHER = replace(lb_kernel.virtual(lb_kernel.API, 1, 1, number=9), scheduler=Scheduler.MH)


@pytest.mark.parametrize(
    "weights",
    [(1, 90), (1, 100, 1), (1, 100, 0), (1, 1000), (1, 1), (1,), (), (0, 100), tuple([1] * 60)],
)
@pytest.mark.parametrize("vip", [VIP, lb_kernel.WEB6])
async def test_of_many_slots_a_change_leaves_what_nft_would_have_made(
    kernel: NftablesKernel, town: Town, vip: IPAddress, weights: tuple[int, ...]
) -> None:
    before, after = (
        replace(lb_kernel.virtual(vip, *each), scheduler=Scheduler.MH)
        for each in ((1, 100), weights)
    )
    for one, then in ((before, after), (after, before)):
        await lb_traffic.put(kernel, town, one, OTHER)
        await lb_traffic.put(kernel, town, then, OTHER)
        ours = slots_of(town, vip)
        as_nft_lists(town, then, OTHER)
        assert ours == slots_of(town, vip)
    await lb_traffic.put(kernel, town, before, OTHER)
    await lb_traffic.put(kernel, town, OTHER)
    assert slots_of(town, vip) == {}
    assert "slots-" not in town.nft("client", "list table inet sdd-lb")


def slots_of(town: Town, vip: IPAddress) -> dict[str, dict[int, str]]:
    """The maps of many slots of a virtual address; {} when it has none."""
    listed = json.loads(town.nft("client", "-j", "list table inet sdd-lb"))["nftables"]
    maps = {each["map"]["name"]: each["map"] for each in listed if "map" in each}
    mine = nft_text.slots(vip, 0).removesuffix("0")
    return {
        name: dict(each.get("elem", ())) for name, each in maps.items() if name.startswith(mine)
    }


async def test_of_many_slots_a_change_writes_those_that_change(
    kernel: NftablesKernel, town: Town
) -> None:
    """The map stays the same one: its handle does."""

    def handle() -> str:
        listing = town.nft("client", "-a", "list map inet sdd-lb slots-10.77.0.200-1004")
        return next(line for line in listing.splitlines() if "handle" in line and "map" in line)

    await lb_traffic.put(kernel, town, MANY, OTHER)
    before = handle()
    await lb_traffic.put(kernel, town, replace(MANY, backends=lb_kernel.backends(1, 99)), OTHER)
    assert handle() == before


@pytest.mark.parametrize(
    "damage",
    [
        "add element inet sdd-lb slots-10.77.0.200-1004 { 0 : 10.77.0.9 }",
        "flush map inet sdd-lb slots-10.77.0.200-1004",
        "delete element inet sdd-lb slots-10.77.0.200-1004 { %d }",
    ],
)
async def test_what_hands_change_of_many_slots_is_seen_and_mended(
    kernel: NftablesKernel, town: Town, place: table.Place, damage: str
) -> None:
    await lb_traffic.put(kernel, town, MANY, OTHER)
    want = await kernel.read(place)
    assert want.flaws == ()
    (slots,) = slots_of(town, VIP).values()
    town.nft("client", damage.replace("%d", str(min(slots))))
    have = await kernel.read(place)
    assert [each.what for each in have.flaws] == [
        "the slots of 10.77.0.200 are not as sdd writes them"
    ]
    assert (await kernel.apply(place, have, plan.diff(have, want))).refusals == ()
    assert await kernel.read(place) == want


async def test_a_change_of_many_slots_that_hands_changed_before_is_made_all_the_same(
    kernel: NftablesKernel, town: Town, place: table.Place
) -> None:
    await lb_traffic.put(kernel, town, MANY, OTHER)
    have = await kernel.read(place)
    town.nft("client", "flush map inet sdd-lb slots-10.77.0.200-1004")
    want = lb_kernel.table_of(replace(MANY, backends=lb_kernel.backends(1, 99)), OTHER)
    assert (await kernel.apply(place, have, plan.diff(have, want))).refusals == ()
    assert await kernel.read(place) == want


async def test_many_slots_lead_to_backends_by_their_weights(
    kernel: NftablesKernel, town: Town
) -> None:
    await lb_traffic.put(
        kernel, town, lb_traffic.service(town, scheduler=Scheduler.MH, b1=1, b2=60, b3=60)
    )
    assert slots_of(town, VIP).keys() == {"slots-10.77.0.200-1004"}
    found = lb_traffic.spread(town)
    assert found["b2"] > 10
    assert found["b3"] > 10
    assert found.get("b1", 0) < 4


async def test_B9_26_other_tables_are_not_touched(kernel: NftablesKernel, town: Town) -> None:
    town.nft("client", "add table ip theirs")
    town.nft("client", "add chain ip theirs mine { type filter hook output priority 5; }")
    before = town.nft("client", "list table ip theirs")
    await lb_traffic.put(kernel, town, lb_traffic.service(town))
    await lb_traffic.put(kernel, town)
    assert town.nft("client", "list table ip theirs") == before
    town.nft("client", "delete table ip theirs")


async def test_B9_34_one_changed_service_leaves_the_others_rules_alone(
    kernel: NftablesKernel, town: Town
) -> None:
    def handles() -> list[str]:
        listing = town.nft("client", "-a", "list chain inet sdd-lb vip-10.77.0.201")
        return [line for line in listing.splitlines() if "handle" in line]

    other = lb_kernel.virtual(lb_kernel.API, 1, 1, number=9)
    await lb_traffic.put(kernel, town, lb_traffic.service(town), other)
    before = handles()
    await lb_traffic.put(kernel, town, lb_traffic.service(town, b1=1, b2=2), other)
    assert handles() == before


async def test_B9_35_what_nft_refuses_changes_nothing_of_the_others(
    kernel: NftablesKernel, town: Town, place: table.Place
) -> None:
    web = lb_traffic.service(town)
    await lb_traffic.put(kernel, town, web)
    have = await kernel.read(place)
    stale = lb_kernel.table_of(web, lb_kernel.virtual(lb_kernel.API, 1, number=9))
    want = lb_kernel.table_of(lb_traffic.service(town, b1=1, b2=1))
    (refusal,) = (await kernel.apply(place, stale, plan.diff(stale, want))).refusals
    assert refusal.vip == lb_kernel.API
    assert await kernel.read(place) == want
    assert have != want
    assert VIP in want.services


async def test_B9_31_a_thousand_services_of_ten_are_there_to_the_last_entry(
    kernel: NftablesKernel, town: Town, place: table.Place
) -> None:
    many = lb_kernel.table_of(*lb_traffic.thousand())
    have = await kernel.read(place)
    assert (await kernel.apply(place, have, plan.diff(have, many))).refusals == ()
    assert await kernel.read(place) == many
    listed = json.loads(town.nft("client", "-j", "list map inet sdd-lb vip4"))["nftables"]
    (elements,) = [each["map"]["elem"] for each in listed if "map" in each]
    chains = json.loads(town.nft("client", "-j", "list chains"))["nftables"]
    names = [each["chain"]["name"] for each in chains if "chain" in each]
    assert len(elements) == sum(name.startswith("vip-") for name in names) == 1000
    records = sum(len(each.backends) for each in (await kernel.read(place)).services.values())
    assert records == 10_000


async def test_who_leaves_takes_its_counters_along(kernel: NftablesKernel, town: Town) -> None:
    def counted() -> set[str]:
        listed = json.loads(town.nft("client", "-j", "list table inet sdd-lb"))["nftables"]
        names = ("began4", "sent4", "heard4")
        sets = [each["set"] for each in listed if each.get("set", {}).get("name") in names]
        keys = [one["elem"]["val"]["concat"] for each in sets for one in each.get("elem", ())]
        return {backend for _, vip, backend in keys if vip == str(VIP)}

    other = lb_kernel.virtual(lb_kernel.API, 1, number=9)
    await lb_traffic.put(kernel, town, lb_traffic.service(town), other)
    for _ in range(6):
        town.ask()
        town.ask_udp()
    assert counted() == {"10.77.0.1", "10.77.0.2", "10.77.0.3"}
    await lb_traffic.put(kernel, town, lb_traffic.service(town, b2=1, b3=1), other)
    assert counted() == {"10.77.0.2", "10.77.0.3"}
    await lb_traffic.put(kernel, town, other)
    assert counted() == set()


@pytest.mark.parametrize(("goes", "resting"), [("b1", 0), ("all", 0), ("all", 100)])
async def test_what_leaves_tells_what_it_counted_last(
    kernel: NftablesKernel, town: Town, place: table.Place, goes: str, resting: int
) -> None:
    served = lb_traffic.service(town)
    rest = [table.Backend(address=RESTING + each, weight=0) for each in range(resting)]
    web = replace(served, backends=plan.ordered((*served.backends, *rest)))
    await lb_traffic.put(kernel, town, web)
    for _ in range(6):
        town.ask()
        town.ask_udp()
    counted = {(each.protocol, each.address): each for each in await kernel.loads(place)}
    brief = {(each.protocol, each.address): each for each in await kernel.counters(place)}
    assert brief == {key: replace(each, active=0, inactive=0) for key, each in counted.items()}
    left = () if goes == "all" else (lb_traffic.service(town, b2=1, b3=1),)
    have, want = lb_kernel.table_of(web), lb_kernel.table_of(*left)
    ended = (await kernel.apply(place, have, plan.diff(have, want))).ended
    gone = [each for each in web.open if not left or each not in left[0].backends]
    assert {(each.protocol, each.address) for each in ended} == {
        (protocol, each.address) for protocol in ("tcp", "udp") for each in gone
    }
    for each in ended:
        assert each.connections == counted[each.protocol, each.address].connections == 2
        assert each.out_bytes == counted[each.protocol, each.address].out_bytes


@pytest.mark.parametrize("odd", ["", "delete set inet sdd-lb heard6; "])
async def test_a_table_that_is_written_anew_tells_what_it_had_counted(
    kernel: NftablesKernel, town: Town, place: table.Place, odd: str
) -> None:
    web = lb_traffic.service(town)
    await lb_traffic.put(kernel, town, web)
    for _ in range(6):
        town.ask()
    town.nft("client", f"flush chain inet sdd-lb heard; {odd}add rule inet sdd-lb refuse accept")
    have = await kernel.read(place)
    done = await kernel.apply(place, have, plan.diff(have, lb_kernel.table_of(web)))
    counted = {each.address: each.connections for each in done.ended if each.protocol == "tcp"}
    assert counted == {each.address: 2 for each in web.backends}
    assert {each.connections for each in await kernel.loads(place)} == {0}


async def test_one_change_of_many_sandboxes_is_right_in_each_whatever_hands_did(
    kernel: NftablesKernel, town: Town
) -> None:
    places = [town.place(name) for name in ("client", "b1", "b2", "b3")]
    stages = [
        lb_kernel.table_of(),
        lb_kernel.table_of(lb_traffic.service(town)),
        lb_kernel.table_of(lb_traffic.service(town, b1=1, b3=2)),
        lb_kernel.table_of(),
    ]
    for have, want in itertools.pairwise(stages):
        town.nft("b3", "add table inet sdd-lb")  # it is there or not, as hands like it
        town.nft("b3", "delete table inet sdd-lb")
        steps = plan.diff(have, want)
        done = await asyncio.gather(*(kernel.apply(each, have, steps) for each in places))
        assert [each.refusals for each in done] == [()] * 4
        assert [await kernel.read(each) for each in places] == [want] * 4
        if want.services:
            assert set(lb_traffic.shares(town, 9)) == {
                f"b{each.address.packed[-1]}" for each in want.services[VIP].backends
            }


@pytest.mark.timeout(lb_soak.TIMEOUT_S)
async def test_a_soak_ends_as_desired_as_nft_lists_it(kernel: NftablesKernel, town: Town) -> None:
    soak = await lb_soak.soaked(kernel, town, seed=1)
    listed = json.loads(town.nft("client", "-j", "list table inet sdd-lb"))["nftables"]
    elements = next(each["map"] for each in listed if each.get("map", {}).get("name") == "vip4")
    found = {vip: led(listed, verdict["goto"]["target"]) for vip, verdict in elements["elem"]}
    assert found == {
        str(one.vip): {str(each.address) for each in one.open} for one in soak.wanted().values()
    }
    assert sum(map(len, found.values())) > 0


def led(listed: list[dict[str, Any]], chain: str) -> set[str]:
    """The addresses to which the rules of a chain lead."""
    rules = (each["rule"] for each in listed if "rule" in each)
    texts = [json.dumps(each["expr"]) for each in rules if each["chain"] == chain]
    maps = (each["map"] for each in listed if "map" in each)
    slots = f"{chain.replace('vip-', 'slots-')}-"
    texts += [json.dumps(each.get("elem")) for each in maps if each["name"].startswith(slots)]
    return {found for text in texts for found in BACKEND.findall(text)}


BACKEND = re.compile(r'"(10\.77\.0\.[0-9]+)"')


async def test_ports_of_a_closed_connection_lead_to_another_virtual_address_at_once(
    kernel: NftablesKernel, town: Town
) -> None:
    """The backend holds them for a minute and would drop the SYN as too old, were it told nothing."""
    ports = range(20000, 20020)  # none that the kernel gives to others
    await lb_traffic.put(kernel, town, lb_traffic.service(town, b1=1))
    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(_connected(town, VIP, port)) for port in ports]
        assert {lb_town.say(each).who for each in first} == {"b1"}
        town.stop("b1")
        town.start("b1")
        assert [each.recv(1) for each in first] == [b""] * len(ports)
    held = ("ss", "-Htn", "state", "time-wait", "sport", "=", ":80")
    eventually(
        lambda: len(town.inside("b1", *held).splitlines()) >= len(ports), 30, "they are over"
    )
    other = replace(lb_traffic.service(town, b1=1), vip=VIP + 1)
    await lb_traffic.put(kernel, town, other)
    with contextlib.ExitStack() as stack:
        again = [stack.enter_context(_connected(town, other.vip, port)) for port in ports]
        assert [lb_town.sent_again(each) for each in again] == [0] * len(ports)


def _connected(town: Town, to: IPAddress, port: int) -> socket.socket:
    opened = town.opened("client", socket.SOCK_STREAM, port=port)
    opened.connect((str(to), 80))
    return opened

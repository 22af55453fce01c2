"""IPVS balances: the contract, the traffic, and what hands can do. Needs the lab kernel."""

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from lb import plan, table, world
from lb.kernel import choose, ipvs, ipvs_codec, ipvs_entries, ipvs_front, ipvs_modules, ipvs_session
from sdd.model.service import Scheduler
from tests.contract import lb_kernel
from tests.kernel import lb_counts, lb_soak, lb_town, lb_traffic
from tests.kernel.lb_town import VIP, VIP6, Town
from tests.support import eventually

pytestmark = pytest.mark.vm

LOOKS = 200  # at each of which the thresholds of half of a few services are asked for


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    built = Town("ipvs")
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


class TestContract(lb_kernel.LbKernelContract):
    """The suite of the fake."""


class TestTraffic(lb_traffic.LbTraffic):
    """The suite of nftables."""


class TestCounts(lb_counts.LbCounts):
    """The same of what is counted."""

    lag_s = 5.0  # IPVS sums its counters up every 2 s


def test_what_would_lock_up_is_loaded_before_it_is_asked_for() -> None:
    assert ipvs.available()
    for each in (Scheduler.LBLC, Scheduler.LBLCR):
        assert ipvs_modules.is_there(each)


async def test_auto_takes_ipvs_and_says_why(town: Town) -> None:
    choice = await choose.choose(town.doors, "auto")
    assert (choice.name, "IPVS 1." in choice.why) == ("ipvs", True)


async def test_B9_31_a_thousand_services_of_ten_are_there_to_the_last_entry(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place
) -> None:
    many = lb_kernel.table_of(*lb_traffic.thousand())
    have = await kernel.read(place)
    assert (await kernel.apply(place, have, plan.diff(have, many))).refusals == ()
    lines = town.inside("client", "ipvsadm", "-Sn").splitlines()
    # Streams and datagrams of an address are services of their own.
    assert sum(line.startswith("-A") for line in lines) == 2 * 1000
    assert sum(line.startswith("-a") for line in lines) == 2 * 10_000
    found = await kernel.read(place)
    assert found.flaws == ()
    assert found == many
    again = await kernel.read(place, None, many.services)
    assert again == many
    same = sum(again.services[vip] is each for vip, each in many.services.items())
    # Of a few the thresholds were asked for; some more are not in the list while other namespaces
    # have services or are about to end, at most as many as those have.
    assert 500 < same <= 1000 - ipvs_session.FEW // 2


async def test_a_service_of_more_backends_than_one_send_takes_is_made(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place
) -> None:
    backends = tuple(table.Backend(address=ip_address("10.77.8.0") + at) for at in range(2000))
    many = lb_kernel.table_of(table.VirtualService(number=1, vip=VIP, backends=backends))
    have = await kernel.read(place)
    assert (await kernel.apply(place, have, plan.diff(have, many))).refusals == ()
    lines = town.inside("client", "ipvsadm", "-Sn").splitlines()
    assert sum(line.startswith("-a") for line in lines) == 2 * 2000
    found = await kernel.read(place)
    assert found.flaws == ()
    assert found == many


async def test_services_that_go_in_another_namespace_hide_none_of_ours(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place
) -> None:
    """The kernel goes on with a list where so many of all namespaces have been told."""
    many = tuple(itertools.islice(lb_traffic.thousand(), 300))
    other, reads = ipvs.IpvsKernel(town.doors, kernel._family), 0
    await lb_traffic.put(kernel, town, *many)
    for turn in range(30):
        if turn >= 3 and reads > 3:  # on a busy machine a read may take as long as all the others
            break
        await lb_traffic.put(other, town, *many, name="b1")
        async with asyncio.TaskGroup() as group:
            going = group.create_task(lb_traffic.put(other, town, name="b1"), name="going")
            while not going.done():
                assert await kernel.read(place) == lb_kernel.table_of(*many)
                reads += 1
    assert reads > 3


@pytest.mark.parametrize("knows", [False, True])
@pytest.mark.parametrize(
    "damage",
    ["-a -f {} -r 10.77.8.1:81 -m -w 1", "-e -f {} -r 10.77.8.1:0 -m -w 1 -x 5 -y 2"],
)
async def test_a_backend_of_hands_among_many_services_is_found_in_the_end(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place, damage: str, knows: bool
) -> None:
    many = lb_kernel.table_of(*itertools.islice(lb_traffic.thousand(), ipvs_session.FEW + 1))
    likely = many.services if knows else {}
    have = await kernel.read(place)
    assert (await kernel.apply(place, have, plan.diff(have, many))).refusals == ()
    (vip, service), *_ = many.services.items()
    mark = ipvs_front.stream_mark(service.number)
    town.inside("client", "ipvsadm", *damage.format(mark).split())
    for _ in range(LOOKS):
        if steps := plan.diff(have := await kernel.read(place, None, likely), many):
            break
    assert plan.touched(steps) == {vip}
    assert (await kernel.apply(place, have, steps)).refusals == ()
    assert await kernel.read(place, (vip,)) == lb_kernel.table_of(service)


async def test_nftables_clears_away_what_ipvs_left(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place
) -> None:
    web, web6 = lb_traffic.service(town), lb_traffic.service(town, VIP6)
    await lb_traffic.put(kernel, town, web, web6)
    town.inside("client", "ipvsadm", "-A", "-f", "77", "-s", "rr")
    choice = await choose.choose(town.doors, "nftables")
    have = await choice.kernel.read(place)
    assert any("IPVS" in each.what for each in have.flaws)
    want = lb_kernel.table_of(web, web6)
    assert (await choice.kernel.apply(place, have, plan.diff(have, want))).refusals == ()
    assert await choice.kernel.read(place) == want
    assert town.inside("client", "ipvsadm", "-Sn").split() == ["-A", "-f", "77", "-s", "rr"]
    assert "proto 93" not in town.inside("client", "ip", "route", "show", "table", "local")
    assert lb_traffic.shares(town, 9) == {"b1": 3, "b2": 3, "b3": 3}
    assert lb_traffic.shares(town, 9, VIP6) == {"b1": 3, "b2": 3, "b3": 3}
    await lb_traffic.put(choice.kernel, town)
    town.inside("client", "ipvsadm", "-C")


async def test_ipvs_left_where_nothing_is_to_be_balanced_any_more_goes_too(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place
) -> None:
    await lb_traffic.put(kernel, town, lb_traffic.service(town))
    choice = await choose.choose(town.doors, "nftables")
    have = await choice.kernel.read(place)
    assert (await choice.kernel.apply(place, have, plan.diff(have, table.EMPTY))).refusals == ()
    assert await choice.kernel.read(place) == table.EMPTY
    assert town.inside("client", "ipvsadm", "-Sn") == ""
    assert await kernel.read(place) == table.EMPTY


async def test_B9_26_foreign_services_are_not_touched(kernel: ipvs.IpvsKernel, town: Town) -> None:
    town.inside("client", "ipvsadm", "-A", "-t", "10.9.9.9:80", "-s", "rr")
    town.inside("client", "ipvsadm", "-A", "-f", "77", "-s", "rr")
    await lb_traffic.put(kernel, town, lb_traffic.service(town))
    await lb_traffic.put(kernel, town)
    left = town.inside("client", "ipvsadm", "-Sn")
    assert "10.9.9.9:80" in left
    assert "-f 77" in left
    town.inside("client", "ipvsadm", "-C")


async def test_ipvsadm_sees_what_was_meant(kernel: ipvs.IpvsKernel, town: Town) -> None:
    await lb_traffic.put(
        kernel, town, lb_traffic.service(town, scheduler=Scheduler.MH, persistence_s=60, b1=3, b2=0)
    )
    lines = town.inside("client", "ipvsadm", "-Sn").splitlines()
    marks = (0x5D000002, 0x5D000003)
    assert sorted(line.strip() for line in lines) == sorted(
        [
            f"-A -f {marks[0]} -s mh -p 60 -b mh-fallback,mh-port",
            f"-a -f {marks[0]} -r 10.77.0.1:0 -m -w 3",
            f"-a -f {marks[0]} -r 10.77.0.2:0 -m -w 0",
            f"-A -f {marks[1]} -s mh -p 60 -b mh-fallback,mh-port",
            f"-a -f {marks[1]} -r 10.77.0.1:0 -m -w 3",
        ]
    )


async def test_B9_32_an_error_in_the_middle_names_its_service_and_spoils_no_other(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, api = lb_traffic.service(town), lb_kernel.virtual(lb_kernel.API, 1, 1, number=9)
    monkeypatch.setattr(ipvs_entries, "settings", _unknown_for(api.number))
    steps = plan.diff(table.EMPTY, lb_kernel.table_of(api, web))
    (refusal,) = (await kernel.apply(place, table.EMPTY, steps)).refusals
    monkeypatch.undo()
    assert (refusal.vip, refusal.code) == (lb_kernel.API, "SDD-LB-SCHEDULER")
    assert refusal.sentence.endswith(f"it offers: {', '.join(Scheduler)}")
    assert "5d000000" not in town.inside("client", "cat", "/proc/net/ip_vs").lower()
    assert lb_traffic.shares(town, 9) == {"b1": 3, "b2": 3, "b3": 3}


def _unknown_for(number: int) -> object:
    original = ipvs_entries.settings

    def settings(service: table.VirtualService) -> ipvs_codec.Settings:
        if service.number == number:
            return ipvs_codec.Settings(scheduler="nosuch")
        return original(service)

    return settings


async def test_a_scheduler_that_must_not_be_asked_for_leaves_the_service_as_it_is(
    kernel: ipvs.IpvsKernel,
    town: Town,
    place: table.Place,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    web = lb_traffic.service(town)
    await lb_traffic.put(kernel, town, web)
    have, want = await kernel.read(place), replace(web, scheduler=Scheduler.LBLC)
    monkeypatch.setattr(ipvs_modules, "HERE", ipvs_modules.Places(tmp_path, tmp_path / "none"))
    steps = plan.diff(have, lb_kernel.table_of(want))
    (refusal,) = (await kernel.apply(place, have, steps)).refusals
    assert (refusal.vip, refusal.code) == (VIP, "SDD-LB-SCHEDULER")
    assert "lblc" not in refusal.sentence.split("offers:")[1]
    assert await kernel.read(place) == have
    assert lb_traffic.shares(town, 9) == {"b1": 3, "b2": 3, "b3": 3}
    monkeypatch.undo()
    done = await kernel.apply(place, have, steps)
    assert done.refusals == ()


async def test_a_source_that_is_not_there_yet_is_said_to_be_waited_for(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place
) -> None:
    early = table.Place(
        netns=place.netns, addresses=lb_town.interfaces("10.77.0.99/24", "fd77::99/64")
    )
    steps = plan.diff(table.EMPTY, lb_kernel.table_of(lb_traffic.service(town)))
    (refusal,) = (await kernel.apply(early, table.EMPTY, steps)).refusals
    assert (refusal.vip, refusal.code) == (VIP, ipvs.NOT_YET)
    assert await kernel.read(place) != table.EMPTY


async def test_B9_14_X14_a_connection_outlives_the_idle_timeout(
    kernel: ipvs.IpvsKernel, town: Town
) -> None:
    await lb_traffic.put(kernel, town, lb_traffic.service(town, scheduler=Scheduler.MH))
    town.inside("client", "ipvsadm", "--set", "2", "2", "2")
    with contextlib.closing(town.connect()) as live:
        before = lb_town.say(live).who
        await asyncio.sleep(4)  # the thing tested: silence longer than the timeout
        eventually(lambda: "ESTABLISHED" not in listed_now(town), 30, "the kernel forgets it")
        assert lb_town.say(live).who == before


def listed_now(town: Town) -> str:
    return town.inside("client", "ipvsadm", "-Lnc")


async def test_B9_25_nothing_is_reset_by_reading_and_applying_again(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place
) -> None:
    await lb_traffic.put(kernel, town, lb_traffic.service(town))
    # A destination that an earlier test removed comes back from the kernel's trash, counters and all.
    before = _connections(await kernel.loads(place))
    lb_traffic.shares(town, 9)
    again = ipvs.IpvsKernel(town.doors, kernel._family)
    assert plan.diff(await again.read(place), await kernel.read(place)) == ()
    end = time.monotonic() + 60  # the kernel sums its counters up every 2 s
    while (counted := _connections(await again.loads(place))) < before + 9:
        assert time.monotonic() < end, (before, counted)
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("goes", ["b1", "all"])
async def test_what_leaves_tells_what_it_counted_last(
    kernel: ipvs.IpvsKernel, town: Town, place: table.Place, goes: str
) -> None:
    web = lb_traffic.service(town)
    await lb_traffic.put(kernel, town, web)
    await asyncio.sleep(TestCounts.lag_s)  # what earlier tests sent is counted late as well
    before = _connections(await kernel.loads(place))
    lb_traffic.shares(town, 9)
    end = time.monotonic() + 60  # the kernel sums its counters up every 2 s
    while _connections(await kernel.loads(place)) < before + 9:
        assert time.monotonic() < end
        await asyncio.sleep(0.2)
    counted = {(each.protocol, each.address): each for each in await kernel.loads(place)}
    left = () if goes == "all" else (lb_traffic.service(town, b2=1, b3=1),)
    have, want = lb_kernel.table_of(web), lb_kernel.table_of(*left)
    ended = (await kernel.apply(place, have, plan.diff(have, want))).ended
    gone = [each for each in web.backends if not left or each not in left[0].backends]
    assert {(each.protocol, each.address): each.connections for each in ended} == {
        (protocol, each.address): counted[protocol, each.address].connections
        for protocol in ("tcp", "udp")
        for each in gone
    }


def _connections(loads: Sequence[world.Load]) -> int:
    return sum(each.connections or 0 for each in loads if each.protocol == "tcp")


async def test_a_soak_ends_as_desired_as_ipvsadm_lists_it(
    kernel: ipvs.IpvsKernel, town: Town
) -> None:
    soak = await lb_soak.soaked(kernel, town, seed=2, rounds=lb_soak.ROUNDS // 3)
    printed = lb_town.sh("ip", "netns", "exec", town.netns("client"), "ipvsadm", "-Ln").stdout
    wanted = sorted(
        (str(one.scheduler), sorted((str(each.address), each.weight) for each in those))
        for one in soak.wanted().values()
        # Streams keep those of weight 0, which drain; datagrams do not.
        for those in (one.backends, one.open)
    )
    assert sorted(listed(printed)) == wanted


def listed(printed: str) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Scheduler, and address and weight of each real server, of each virtual one."""
    for block in re.split(r"^FWM ", printed, flags=re.MULTILINE)[1:]:
        backends = re.findall(r"-> ([0-9.]+):0 +Masq +([0-9]+)", block)
        yield block.split()[1], sorted((address, int(weight)) for address, weight in backends)

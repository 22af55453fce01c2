"""Counters of many sandboxes become totals that only grow, and signs against members."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lb import table, world
from lb.fake import FakeKernel
from lb.growth import Growth
from lb.meter import Meter
from lb.reconciler import Reconciler
from lb.world import PortKey
from sdd import errors
from sdd.model import health, ids
from sdd.model.network import IPAddress
from sdd.model.port import Mode, Port
from sdd.model.service import EndpointMode, Member
from sdd.reconcile import Slot
from sdd.state import ClusterState, Gone, MemberKey, Object, Put
from tests.unit.lb import ingress_states, states

VIP, ONE, TWO = (ip_address(f"10.0.1.{last}") for last in (100, 1, 2))
WEB = ids.ServiceId("web")
TOWN: tuple[Object, ...] = (
    states.net("front", 1),
    states.box("client"),
    states.plug("client", "front", "10.0.1.9/24"),
    *(states.box(name) for name in ("web1", "web2")),
    states.plug("web1", "front", "10.0.1.1/24"),
    states.plug("web2", "front", "10.0.1.2/24"),
    states.svc("web", "front", str(VIP)),
    states.member("web", "web1", "front"),
    states.member("web", "web2", "front"),
)
STATE = states.state(*TOWN)


class Bench:
    """One client balances; the other sandboxes are known to count nothing."""

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.suspects: list[MemberKey] = []
        self.meter = Meter(
            *(self.kernel, states.NODE, self.suspects.append, time.monotonic),
            pause_s=0.001,
            part=0,
        )
        self.slot = Slot()

    async def count(
        self, address: object, vip: IPAddress = VIP, protocol: str = "tcp", **grown: int
    ) -> None:
        """The kernel counts, and the meter has read it."""
        self.kernel.counts[vip, protocol, ip_address(str(address))] = Growth(**grown)
        await self.read()

    async def read(self) -> None:
        """Two more rounds have begun: one of them saw all that is there now."""
        seen = self.kernel.read_loads
        await self.until(lambda: self.kernel.read_loads >= seen + 2)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - other tasks run on; nobody could set an event
                await asyncio.sleep(0)

    def total(self) -> Growth:
        return self.meter.totals()[WEB, "tcp"]


@asynccontextmanager
async def running(
    before: int = 0, state: ClusterState = STATE, client: str = "client"
) -> AsyncIterator[Bench]:
    """With a kernel that counted connections `before` the daemon began."""
    bench = Bench()
    bench.kernel.counts[VIP, "tcp", ONE] = Growth(connections=before)
    bench.kernel.make(f"/ns/{client}")
    await Reconciler(bench.kernel, states.NODE, ready_s=0.001).realise(state)
    bench.slot.put(state)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bench.meter.run(bench.slot), name="meter")
        await bench.read()
        yield bench
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_totals_are_what_came_since_the_start() -> None:
    async with running(before=1000) as bench:
        assert bench.total() == Growth()
        await bench.count(ONE, connections=1004, in_packets=9, out_packets=9)
        await bench.count(TWO, connections=1, in_packets=5, out_packets=5)
        assert bench.total() == Growth(connections=5, in_packets=14, out_packets=14)
        assert bench.meter.totals()[WEB, "udp"] == Growth()


@pytest.mark.parametrize(
    "refusal",
    [errors.KernelRefused("it has ports where addresses should be"), OSError(24, "no descriptor")],
)
async def test_what_nobody_can_read_in_one_sandbox_ends_no_meter(refusal: Exception) -> None:
    async with running() as bench:
        loads = bench.kernel.loads

        async def odd(place: table.Place) -> tuple[world.Load, ...]:
            del place
            bench.kernel.read_loads += 1
            raise refusal

        bench.kernel.loads = odd  # type: ignore[method-assign]  # for a moment
        await bench.read()
        bench.kernel.loads = loads  # type: ignore[method-assign]
        await bench.count(ONE, connections=4)
        assert bench.total() == Growth(connections=4)


async def test_a_counter_that_begins_anew_takes_nothing_away() -> None:
    async with running() as bench:
        await bench.count(ONE, connections=4, out_packets=40)
        await bench.count(ONE, connections=1, out_packets=10)
        assert bench.total() == Growth(connections=5, out_packets=50)


async def test_a_namespace_that_is_gone_for_a_moment_is_not_counted_twice() -> None:
    async with running() as bench:
        await bench.count(ONE, connections=4, out_packets=40)
        kept = bench.kernel.tables.pop("/ns/client")
        await bench.until(lambda: True)
        for _ in range(50):
            await asyncio.sleep(0.001)
        bench.kernel.tables["/ns/client"] = kept
        await bench.read()
        assert bench.total() == Growth(connections=4, out_packets=40)


async def test_who_does_not_answer_new_connections_is_suspect_and_who_does_is_not() -> None:
    async with running() as bench:
        await bench.count(ONE, connections=4, in_packets=40, out_packets=40)
        assert bench.suspects == []
        await bench.count(ONE, connections=6, in_packets=42, out_packets=42)
        await bench.count(TWO, connections=3, in_packets=9)
        assert bench.suspects == [
            (WEB, ids.EndpointId("web1-front")),
            (WEB, ids.EndpointId("web2-front")),
        ]


async def test_what_the_ingress_sandbox_counts_is_its_services_and_members() -> None:
    shop, member = ids.ServiceId("shop"), ids.EndpointId("web-front")
    vip, on_ingress = ip_address("10.0.0.200"), "10.0.0.10"
    async with running(state=ingress_states.town(), client="sbox") as bench:
        await bench.count(on_ingress, vip, connections=4, in_packets=20, out_packets=20)
        assert bench.meter.totals()[shop, "tcp"].connections == 4
        assert bench.suspects == []
        await bench.count(on_ingress, vip, connections=6, in_packets=22, out_packets=22)
        assert bench.suspects == [(shop, member)]


async def test_a_service_without_virtual_addresses_is_counted_by_its_published_ports() -> None:
    shop = ingress_states.shop()
    plain = ingress_states.town(replace(shop, vips=(), mode=EndpointMode.DNSRR))
    async with running(state=plain, client="sbox") as bench:
        assert bench.meter.totals()[shop.id, "tcp"] == Growth()
        await bench.count("10.0.0.10", shop.ingress_vips[0], connections=3, out_packets=9)
        assert bench.meter.totals()[shop.id, "tcp"].connections == 3


async def test_a_slow_flow_of_datagrams_is_a_sign_as_a_quick_one_is() -> None:
    async with running() as bench:
        await bench.count(ONE, protocol="udp", in_packets=1, out_packets=1)
        for sent in (2, 3):
            await bench.count(ONE, protocol="udp", in_packets=sent, out_packets=1)
            assert bench.suspects == []
        await bench.count(ONE, protocol="udp", in_packets=4, out_packets=1)
        assert bench.suspects == [(WEB, ids.EndpointId("web1-front"))]


async def test_a_program_that_was_never_seen_to_answer_is_not_suspect_for_its_silence() -> None:
    async with running() as bench:
        for sent in (5, 10, 20):
            await bench.count(ONE, protocol="udp", in_packets=sent)
        assert bench.suspects == []
        await bench.count(ONE, protocol="udp", in_packets=21, out_packets=1)
        await bench.count(ONE, protocol="udp", in_packets=24, out_packets=1)
        assert bench.suspects == [(WEB, ids.EndpointId("web1-front"))]


async def test_what_answered_before_it_came_up_again_may_be_another_program() -> None:
    check = states.svc("web", "front", str(VIP), check=states.CHECKED)
    up = states.verdict("web", "web1", "front", health.Status.UP)
    other = states.verdict("web", "web2", "front", health.Status.UP)
    state = states.state(*TOWN, check, up, other)
    async with running(state=state) as bench:
        await bench.count(ONE, protocol="udp", in_packets=1, out_packets=1)
        bench.slot.put(state.apply(ids.Revision(2), [Put(replace(up, since=9.0))]))
        await bench.count(ONE, protocol="udp", in_packets=9, out_packets=1)
        assert bench.suspects == []


async def test_who_answered_a_udp_check_is_known_to_answer() -> None:
    check = states.svc("web", "front", str(VIP), check=states.CHECKED)
    up = states.verdict("web", "web1", "front", health.Status.UP, answered=(4,))
    async with running(state=states.state(*TOWN, check, up)) as bench:
        await bench.count(ONE, protocol="udp", in_packets=3)
        assert bench.suspects == [(WEB, ids.EndpointId("web1-front"))]


async def test_datagrams_that_are_answered_in_the_end_are_no_sign() -> None:
    async with running() as bench:
        for sent in range(1, 9):
            await bench.count(ONE, protocol="udp", in_packets=sent, out_packets=sent // 2)
        assert bench.suspects == []


async def test_what_the_host_leads_straight_to_members_is_counted_and_gives_signs() -> None:
    shop = replace(
        ingress_states.shop(Port(published=8080, target=80, mode=Mode.HOST)), ingress_vips=()
    )
    bench, slot = Bench(), Slot()
    counted: dict[PortKey, Growth] = {}

    async def host() -> Mapping[PortKey, Growth]:
        return counted

    meter = Meter(
        *(bench.kernel, states.NODE, bench.suspects.append, time.monotonic),
        host=host,
        pause_s=0.001,
    )
    slot.put(ingress_states.town(shop))
    task = asyncio.create_task(meter.run(slot))  # noqa: TID251 - ended below
    await bench.until(lambda: (shop.id, "tcp") in meter.totals())
    counted = {("tcp", 80, ip_address("10.1.0.2")): Growth(connections=3, out_packets=9)}
    await bench.until(lambda: meter.totals()[shop.id, "tcp"].connections == 3)
    assert bench.suspects == []
    counted = {("tcp", 80, ip_address("10.1.0.2")): Growth(connections=5, out_packets=11)}
    await bench.until(lambda: bool(bench.suspects))
    assert meter.totals()[shop.id, "tcp"] == Growth(connections=5, out_packets=11)
    town = ingress_states.town(shop)
    gone = [Gone(Member, key) for key in town.members if key[0] == shop.id]
    counted = {("tcp", 80, ip_address("10.1.0.2")): Growth(connections=6, out_packets=12)}
    slot.put(town.apply(ids.Revision(town.revision + 1), gone))
    await bench.until(lambda: meter.totals()[shop.id, "tcp"].connections == 6)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

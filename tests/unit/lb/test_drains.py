"""Who leaves is gone when nothing is connected any more, or when the time is up."""

import asyncio
import errno
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Self

import pytest

from lb import plan, table, world
from lb.drains import LONGEST_S, POLL_S, Drains
from lb.fake import FakeKernel
from lb.ports.table import Bind
from lb.ports.way import Way
from sdd import errors
from sdd.linux.cost import _COST
from sdd.model import ids
from sdd.model.network import IPAddress
from sdd.model.port import Mode, Port, Protocol
from sdd.model.service import EndpointMode
from sdd.reconcile import Slot
from sdd.state import ClusterState, MemberKey, Put
from tests.support import eventually_async
from tests.unit.lb import states

VIP, BACKEND = ip_address("10.0.1.100"), ip_address("10.0.1.1")
KEY = (ids.ServiceId("web"), ids.EndpointId("web1-front"))
UNTIL = 1000.0
REFUSALS = (
    errors.Unavailable("the list changes faster than it is read"),
    OSError(errno.EMFILE, "too many open files"),
)


class Counting(FakeKernel):
    """Says how many are connected to the one backend."""

    def __init__(self) -> None:
        super().__init__()
        self.active = 1
        self.costs_s = 0.0
        self.asked: list[tuple[str, frozenset[IPAddress]]] = []
        self.hidden = False
        self.answering = asyncio.Event()
        self.answering.set()
        self.failure: Exception | None = None
        self.make("/ns/client")
        self.give(weight=0)

    def give(self, weight: int) -> None:
        backends = (table.Backend(address=BACKEND, weight=weight),)
        service = table.VirtualService(number=1, vip=VIP, backends=backends)
        self.tables["/ns/client"] = plan.result(
            table.EMPTY, plan.diff(table.EMPTY, table.Table(services={VIP: service}))
        )

    async def connections(
        self, place: table.Place, vips: Collection[IPAddress]
    ) -> tuple[world.Load, ...]:
        if self.failure:
            raise self.failure
        self.asked.append((place.netns, frozenset(vips)))
        await self.answering.wait()
        _COST.get().seconds += self.costs_s  # type: ignore[union-attr]  # the watcher counts it
        found = await super().connections(place, vips)
        return tuple(replace(each, active=self.active) for each in found if not self.hidden)


class Bench:
    """A watcher whose clock moves by POLL_S whenever it is read; `finished` are its calls."""

    def __init__(
        self,
        state: ClusterState,
        clock: Callable[[], float] | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kernel = Counting()
        self.now = 0.0
        self.refusals = 0
        self.finished: list[MemberKey] = []
        self.slot = Slot()
        self.slot.put(state)
        clocks = (clock or self.clock, steady if clock else self.clock)
        self.reached: set[MemberKey] = set()
        self.failure: Exception | None = None
        self.asked: list[Mapping[MemberKey, Collection[Way]]] = []
        self.drains = Drains(
            *(self.finish, self.kernel, states.NODE, *clocks), straight=self.straight
        )

    async def straight(self, those: Mapping[MemberKey, Collection[Way]]) -> Collection[MemberKey]:
        if self.failure:
            raise self.failure
        self.asked.append(those)
        return self.reached

    def clock(self) -> float:
        self.now += POLL_S
        return self.now

    async def finish(self, of: ids.ServiceId, end: ids.EndpointId) -> None:
        if self.refusals:
            self.refusals -= 1
            raise errors.Unavailable("the store is away")
        self.finished.append((of, end))
        self.slot.put(leaving(until=0.0))

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._task = self._group.create_task(self.drains.run(self.slot), name="drains")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._group.__aexit__(None, None, None)

    async def until(self, count: int) -> None:
        await eventually_async(lambda: len(self.finished) == count, 60, "the member is gone")


def leaving(until: float = UNTIL, node: ids.NodeId = states.NODE) -> ClusterState:
    member = states.member("web", "web1", "front", node=node)
    return states.state(
        states.net("front", 1),
        states.box("client"),
        states.plug("client", "front", "10.0.1.9/24"),
        states.plug("web1", "front", f"{BACKEND}/24"),
        states.svc("web", "front", str(VIP)),
        replace(member, drains_until=until),
    )


async def test_B9_05_a_member_without_connections_is_gone_early() -> None:
    async with Bench(leaving()) as bench:
        bench.kernel.active = 0
        await bench.until(1)
        assert bench.now < UNTIL
    assert bench.finished == [KEY]


async def test_a_member_with_connections_stays_until_they_end() -> None:
    async with Bench(leaving()) as bench:
        await eventually_async(lambda: bench.now > 5 * POLL_S, 60, "it was looked at")
        assert bench.finished == []
        bench.kernel.active = 0
        await bench.until(1)


def published(svc_mode: EndpointMode = EndpointMode.VIP) -> ClusterState:
    ports = (
        Port(published=8080, target=80, mode=Mode.HOST),
        Port(published=5300, target=53, protocol=Protocol.UDP),
        Port(published=0, target=81),
    )
    vips = (str(VIP),) if svc_mode is EndpointMode.VIP else ()
    svc = replace(states.svc("web", "front", *vips, mode=svc_mode), ports=ports)
    return leaving().apply(ids.Revision(2), [Put(svc)])


@pytest.mark.parametrize("mode", list(EndpointMode))
async def test_who_is_reached_by_a_port_of_the_host_stays_until_that_ends(
    mode: EndpointMode,
) -> None:
    async with Bench(published(mode)) as bench:
        bench.kernel.active = 0
        bench.reached = {KEY}
        await eventually_async(lambda: len(bench.asked) > 2, 60, "it was looked at")
        assert bench.finished == []
        bench.reached.clear()
        await bench.until(1)
    bind = Bind(version=4, protocol=Protocol.TCP, number=8080)
    assert bench.asked[0] == {KEY: {Way(bind, BACKEND, 80)}}, "datagrams are not waited for"


@pytest.mark.parametrize("failure", REFUSALS)
async def test_a_host_that_cannot_be_asked_is_not_taken_for_idle(failure: Exception) -> None:
    async with Bench(published()) as bench:
        bench.kernel.active = 0
        bench.failure = failure
        await eventually_async(lambda: bench.now > 5 * POLL_S, 60, "it was looked at")
        assert bench.finished == []
        bench.failure = None
        await bench.until(1)


async def test_at_the_deadline_it_goes_with_its_connections() -> None:
    async with Bench(leaving(until=4 * POLL_S)) as bench:
        await bench.until(1)


@pytest.mark.parametrize("by_s", [-3600.0, 3600.0])
async def test_a_clock_that_is_set_changes_no_drain_that_began(by_s: float) -> None:
    wall, steady = 1000.0, 50.0
    async with Bench(leaving(until=wall + 3 * POLL_S), lambda: wall, lambda: steady) as bench:
        await eventually_async(lambda: bench.drains._seen, 60, "it was seen to leave")
        steady += POLL_S
        await eventually_async(lambda: bench.kernel.asked, 60, "it was looked at")
        wall += by_s
        looks = len(bench.kernel.asked)
        await eventually_async(lambda: len(bench.kernel.asked) > looks + 1, 60, "and again")
        assert bench.finished == []
        steady += 2 * POLL_S
        await bench.until(1)


async def test_a_store_that_refuses_is_asked_again() -> None:
    async with Bench(leaving()) as bench:
        bench.refusals = 2
        bench.kernel.active = 0
        await bench.until(1)


async def test_a_sandbox_that_is_gone_holds_no_connection() -> None:
    async with Bench(leaving()) as bench:
        bench.kernel.delete("/ns/client")
        await bench.until(1)


async def test_a_member_that_the_kernel_still_gives_connections_is_not_idle() -> None:
    async with Bench(leaving()) as bench:
        bench.kernel.active = 0
        bench.kernel.give(weight=3)
        await eventually_async(lambda: bench.now > 5 * POLL_S, 60, "it was looked at")
        assert bench.finished == []
        bench.kernel.give(weight=0)
        await bench.until(1)


async def test_what_cannot_be_counted_is_not_taken_for_idle() -> None:
    async with Bench(leaving()) as bench:
        bench.kernel.active = 0
        bench.kernel.failure = errors.Unavailable("the list changes faster than it is read")
        await eventually_async(lambda: bench.now > 5 * POLL_S, 60, "it was looked at")
        bench.kernel.failure, bench.kernel.hidden = None, True  # the service is being written anew
        before = bench.now
        await eventually_async(lambda: bench.now > before + 5 * POLL_S, 60, "it was looked at")
        assert bench.finished == []
        bench.kernel.hidden = False
        await bench.until(1)


async def test_members_of_other_nodes_and_those_that_stay_are_left_alone() -> None:
    for state in (leaving(node=states.ELSEWHERE), leaving(until=0.0)):
        async with Bench(state) as bench:
            await eventually_async(lambda bench=bench: bench.now > 0, 60, "it was looked at")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            assert bench.finished == []


async def test_whose_time_is_up_does_not_wait_for_connections_to_be_counted() -> None:
    async with Bench(leaving(until=time.time() + 2 * POLL_S), time.time) as bench:
        bench.kernel.answering.clear()
        await bench.until(1)
    assert bench.finished == [KEY]


async def test_nothing_is_asked_but_what_drains() -> None:
    other = states.svc("other", "front", "10.0.1.101", number=2)
    back = (states.net("back", 2), states.box("far"), states.plug("far", "back", "10.0.2.9/24"))
    state = leaving().apply(ids.Revision(2), [Put(each) for each in (other, *back)])
    async with Bench(state) as bench:
        await eventually_async(lambda: bench.kernel.asked, 60, "it was looked at")
    assert set(bench.kernel.asked) == {("/ns/client", frozenset({VIP}))}


async def test_what_is_dear_to_ask_is_asked_seldom_whatever_states_come() -> None:
    async with Bench(leaving()) as bench:
        bench.kernel.costs_s = 1.0
        begun = time.monotonic()
        await eventually_async(lambda: bench.kernel.asked, 60, "it was looked at")
        for revision in range(3, 30):
            before = bench.now
            bench.slot.put(leaving().apply(ids.Revision(revision), ()))
            await eventually_async(lambda before=before: bench.now > before, 60, "it is seen")  # type: ignore[misc]  # as above
        passed_s = time.monotonic() - begun
        assert len(bench.kernel.asked) <= 1 + passed_s // LONGEST_S

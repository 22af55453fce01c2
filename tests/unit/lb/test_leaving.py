"""What a sandbox counted between the last reading and its end is not lost with it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from lb import desired, table, world
from lb.fake import FakeKernel
from lb.growth import Growth
from lb.leaving import Leaving
from lb.meter import Meter
from lb.reconciler import Reconciler
from sdd.model import ids, sandbox, service
from sdd.reconcile import Slot
from sdd.state import ClusterState, Gone, Put
from tests.unit.lb import states
from tests.unit.lb.test_meter import ONE, STATE, VIP, WEB

CLIENT = ids.SandboxId("client")
LAST = Growth(connections=9, in_packets=90, out_packets=90)
KEY = (VIP, "tcp", ONE)


class Door:
    """A namespace of the fake kernel that stays there under another name."""

    path = "/held"

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self.is_open = True

    def close(self) -> None:
        self._kernel.delete(self.path)
        self.is_open = False


class Kernel(FakeKernel):
    """Does something `during` the next reading, before it reads."""

    during: Callable[[], None] | None = None

    async def loads(self, place: table.Place) -> tuple[world.Load, ...]:
        during, self.during = self.during, None
        if during is not None:
            during()
        return await super().loads(place)


class Bench:
    """`netns` is the quickest: the namespace has lost its name when the balancer comes."""

    def __init__(self, *, is_there: bool = True) -> None:
        self.kernel = Kernel()
        self.doors: list[Door] = []
        self.meter = Meter(
            *(self.kernel, states.NODE, lambda _: None, time.monotonic),
            pause_s=0.001,
            part=0,
        )
        self.leaving = Leaving(states.NODE, self._hold, self.meter.ended)
        self.reconciler = Reconciler(
            *(self.kernel, states.NODE),
            leaving=self.leaving,
            left=self.meter.left,
            ready_s=0.001,
        )
        self._is_there = is_there
        self._slot = Slot()

    def _hold(self, path: str) -> Door | None:
        """It counted once more before it went."""
        assert path == "/ns/client"
        kept = self.kernel.tables.get(path)
        self.kernel.delete(path)
        if kept is None or not self._is_there:
            return None
        self.kernel.make(Door.path)
        self.kernel.tables[Door.path] = kept
        self.kernel.counts[KEY] = LAST
        self.doors.append(Door(self.kernel))
        return self.doors[-1]

    async def publish(self, state: ClusterState) -> None:
        """As the feed does: the one that holds hears of it before anybody works."""
        self.leaving.put(state)
        self._slot.put(state)
        await self.reconciler.realise(state)

    async def read(self) -> None:
        """Two more rounds have begun: one of them saw all that there is now."""
        seen = self.kernel.read_loads
        async with asyncio.timeout(60):
            # The members are read as well, in vain: they have no namespace.
            while self.kernel.read_loads < seen + 3 * len(STATE.sandboxes):  # noqa: ASYNC110 - other tasks run on
                await asyncio.sleep(0)

    def total(self) -> Growth:
        return self.meter.totals()[WEB, "tcp"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.kernel.make("/ns/client")
        await self.publish(STATE)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.meter.run(self._slot), name="meter")
            await self.read()
            yield
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def without_client(revision: int = 2) -> ClusterState:
    return STATE.apply(ids.Revision(revision), [Gone(sandbox.Sandbox, CLIENT)])


async def test_what_was_counted_after_the_last_reading_is_in_the_totals_once() -> None:
    bench = Bench()
    async with bench.running():
        bench.kernel.counts[KEY] = Growth(connections=4, in_packets=40, out_packets=40)
        await bench.read()
        assert bench.total().connections == 4
        await bench.publish(without_client())
        await bench.read()
        assert bench.total() == LAST
        await bench.publish(without_client(3))
        await bench.read()
        assert bench.total() == LAST
    assert [each.is_open for each in bench.doors] == [False]


async def test_what_a_backend_counted_that_left_stays_and_whoever_comes_again_begins_anew() -> None:
    bench = Bench()
    async with bench.running():
        bench.kernel.counts[KEY] = Growth(connections=4)
        await bench.read()
        bench.kernel.counts[KEY] = Growth(connections=6)  # since the last reading
        member = next(each for each in STATE.members.values() if each.service == WEB)
        key = member.service, member.endpoint
        await bench.publish(STATE.apply(ids.Revision(2), [Gone(service.Member, key)]))
        assert KEY not in bench.kernel.counts
        await bench.read()
        assert bench.total().connections == 6
        await bench.publish(STATE)
        bench.kernel.counts[KEY] = Growth(connections=5)
        await bench.read()
        assert bench.total().connections == 11


async def test_what_a_backend_counted_is_added_once_when_a_round_overtakes_its_going() -> None:
    bench = Bench()
    async with bench.running():
        bench.kernel.counts[KEY] = Growth(connections=4)
        await bench.read()
        want = desired.desired(STATE, desired.nothing(states.NODE)).sandboxes[CLIENT]
        loads = await bench.kernel.loads(want.place)

        def overtake() -> None:
            """The kernel has it no more, and the round sees that before anybody is told."""
            bench.kernel.counts.pop(KEY)
            bench.kernel.tables[want.place.netns] = replace(
                want.table,
                services={VIP: replace(want.table.services[VIP], backends=())},
            )
            last = [replace(each, connections=6) for each in loads if each.connections]
            bench.meter.left(CLIENT, want, last)

        bench.kernel.during = overtake
        await bench.read()
        assert bench.total().connections == 6


async def test_the_path_of_an_adopted_one_is_followed_by_no_more_than_the_last_reading() -> None:
    """It stays when its sandbox goes, and what it leads through may hang."""
    bench = Bench()
    async with bench.running():
        inode = await bench.kernel.inode(table.Place(netns="/ns/client"))
        theirs = replace(STATE.sandboxes[CLIENT], netns_inode=inode)
        await bench.publish(STATE.apply(ids.Revision(2), [Put(theirs)]))
        bench.kernel.counts[KEY] = LAST
        await bench.publish(without_client(3))
        await bench.read()
        assert bench.total() == LAST
    assert bench.doors == []


async def test_a_sandbox_that_came_and_went_between_two_rounds_is_counted_too() -> None:
    bench = Bench()
    client = STATE.sandboxes[CLIENT]
    async with bench.running():
        await bench.publish(without_client())
        await bench.read()
        bench.kernel.make("/ns/client")  # from here on without a turn for the meter
        bench.kernel.counts.clear()
        back = without_client().apply(ids.Revision(3), [Put(client)])
        bench.leaving.put(back)
        await bench.reconciler.realise(back)
        await bench.publish(without_client(4))
        await bench.read()
        assert bench.total().connections == 2 * LAST.connections


async def test_of_a_namespace_that_went_first_what_was_read_stays() -> None:
    bench = Bench(is_there=False)
    async with bench.running():
        bench.kernel.counts[KEY] = Growth(connections=4)
        await bench.read()
        await bench.publish(without_client())
        await bench.read()
        assert bench.total() == Growth(connections=4)
    assert bench.doors == []


async def test_a_namespace_in_which_we_never_were_is_let_go_at_the_next_pass() -> None:
    bench = Bench()
    bench.kernel.make("/ns/client")
    bench.leaving.put(STATE)
    bench.leaving.put(without_client())
    await bench.reconciler.realise(without_client())
    assert [each.is_open for each in bench.doors] == [False]


async def test_what_leaves_later_stays_held_until_then() -> None:
    bench = Bench()
    bench.kernel.make("/ns/client")
    bench.leaving.put(STATE)
    bench.leaving.put(without_client())
    await bench.reconciler.realise(STATE)  # a pass over the state before
    assert [each.is_open for each in bench.doors] == [True]
    await bench.reconciler.realise(without_client())
    assert [each.is_open for each in bench.doors] == [False]


async def test_sandboxes_of_other_nodes_are_not_held() -> None:
    away = states.state(states.net("front", 1), states.box("client", states.ELSEWHERE))
    bench = Bench()
    bench.leaving.put(away)
    bench.leaving.put(away.apply(ids.Revision(2), [Gone(sandbox.Sandbox, CLIENT)]))
    assert bench.doors == []

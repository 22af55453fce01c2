"""Counts go on where they were when a member is up again, and begin anew when it joins again."""

from dataclasses import replace
from ipaddress import ip_address

from lb import growth
from lb.desired import desired, nothing
from lb.fake import FakeKernel
from lb.growth import Growth
from lb.kept import Kept
from lb.reconciler import Reconciler
from lb.view import Row, View
from sdd.model.health import Status
from sdd.state import ClusterState, Object
from tests.unit.lb import states

VIP, WEB1 = ip_address("10.0.1.100"), ip_address("10.0.1.1")
CLIENT = states.box("client")
MEMBER = states.member("web", "web1", "front")
TOWN = (
    states.net("front", 1),
    CLIENT,
    states.plug("client", "front", "10.0.1.9/24"),
    states.box("web1", node=states.ELSEWHERE),
    states.plug("web1", "front", "10.0.1.1/24", node=states.ELSEWHERE),
    states.svc("web", "front", str(VIP), check=states.CHECKED),
)
UP = states.verdict("web", "web1", "front", Status.UP)
DOWN = states.verdict("web", "web1", "front", Status.DOWN)


class Bench:
    """One sandbox that balances, and what is shown of it."""

    def __init__(self) -> None:
        self.kernel, self.kept, self.state = FakeKernel(), Kept(), ClusterState()
        self.kernel.make(CLIENT.netns)
        self.one = Reconciler(self.kernel, states.NODE, left=self.kept.left)

    async def to(self, *values: Object) -> None:
        self.state = states.state(*TOWN, *values, revision=self.state.revision + 1)
        self.kept.put(self.state)
        assert (await self.one.realise(self.state)).failures == ()

    async def carry(self, connections: int) -> None:
        key = (VIP, "tcp", WEB1)
        known = self.kernel.counts.get(key, growth.NONE)
        self.kernel.counts[key] = known + Growth(connections=connections, in_bytes=10)

    async def shown(self) -> Row:
        rows = await View(self.kernel, lambda: self.state, kept=self.kept)(CLIENT)
        return next(row for row in rows if row.protocol == "tcp")


async def test_a_backend_that_was_down_goes_on_counting_where_it_was() -> None:
    bench = Bench()
    for times in (1, 2, 3):
        await bench.to(MEMBER, UP)
        await bench.carry(5)
        row = await bench.shown()
        assert (row.connections, row.in_bytes) == (5 * times, 10 * times)
        await bench.to(MEMBER, DOWN)
        assert (await bench.shown()).address is None


async def test_who_joins_again_begins_anew() -> None:
    bench = Bench()
    await bench.to(MEMBER, UP)
    await bench.carry(5)
    await bench.to(MEMBER, DOWN)
    await bench.to()
    await bench.to(replace(MEMBER, created=7.0), UP)
    assert (await bench.shown()).connections == 0
    await bench.carry(5)
    await bench.to()
    await bench.to(replace(MEMBER, created=8.0), UP)
    assert (await bench.shown()).connections == 0


async def test_nothing_is_kept_of_a_sandbox_that_is_gone() -> None:
    bench = Bench()
    await bench.to(MEMBER, UP)
    await bench.carry(5)
    await bench.to(MEMBER, DOWN)
    without = [each for each in TOWN if each is not CLIENT]
    bench.kept.put(states.state(*without, MEMBER, UP, revision=9))
    want = desired(bench.state, nothing(states.NODE)).sandboxes[CLIENT.id]
    loads = await bench.kernel.loads(want.place)
    assert bench.kept.with_former(CLIENT.id, loads) == loads
    await bench.to(MEMBER, UP)
    assert (await bench.shown()).connections == 0

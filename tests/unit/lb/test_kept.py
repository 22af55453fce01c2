"""Counts go on where they were when a member is up again, and begin anew when it joins again."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from lb import growth, world
from lb.desired import desired, nothing
from lb.fake import FakeKernel
from lb.growth import Growth
from lb.kept import Kept
from lb.reconciler import Reconciler
from lb.view import Row, View
from sdd.model.endpoint import Endpoint
from sdd.model.health import Status
from sdd.model.ids import EndpointId
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


class Counted(dict[EndpointId, Endpoint]):
    """Endpoints that count how often one is looked for."""

    times = 0

    def get(self, *asked: Any) -> Any:
        self.times += 1
        return super().get(*asked)


def test_of_many_that_leave_at_once_each_member_is_looked_at_once_for_all() -> None:
    names = [f"w{at}" for at in range(1, 201)]
    plugs = [states.plug(name, "front", f"10.0.1.{at}/24") for at, name in enumerate(names, 1)]
    members = [states.member("web", name, "front") for name in names]
    svc = states.svc("web", "front", "10.0.1.250")
    state = states.state(states.net("front", 1), *map(states.box, names), *plugs, svc, *members)
    vip = svc.vips[0]
    loads = [
        world.Load(vip=vip, protocol=protocol, scheduler="mh", address=end.hosts[0], connections=3)
        for end in plugs
        for protocol in ("tcp", "udp")
    ]
    want = desired(state, nothing(states.NODE)).sandboxes[members[0].sandbox]
    counted = Counted(state.endpoints)
    kept = Kept()
    kept.put(replace(state, endpoints=counted))
    for box in members[:5]:
        kept.left(box.sandbox, want, loads)
    assert counted.times <= len(members)
    again = kept.with_former(members[4].sandbox, loads)
    assert [each.connections for each in again] == [6] * len(loads)

"""apply(have, plan(want, have)) = want, from any damage, from any prefix, and foreign things stay."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import TypeVar, cast

from hypothesis import given
from hypothesis import strategies as st

from netns import contract, fake, firewall, plan, steps, world
from netns.desired import Want, desired
from sdd import state
from sdd.model import network
from tests.netns_states import NODE, at, box, end, net

T = TypeVar("T")
PATHS = {name: f"/run/sdd/netns/{name}" for name in ("one", "two", "three")}
OPEN = {"host-access": "true"}
GUEST = "/run/other/guest"


@st.composite
def states(draw: st.DrawFn) -> state.ClusterState:
    """Up to four networks, one of them macvlan with a link for the host, and four sandboxes, one of them adopted, connected at will."""
    networks = [
        net("alpha", "10.1.0.0/24"),
        net("beta", "10.2.0.0/24", "fd02::/64", internal=draw(st.booleans())),
        net("gamma", "fd03::/64", options={"driver.mtu": draw(st.sampled_from(["1400", "9000"]))}),
        net("delta", "10.4.0.0/24", "fd04::/64", options=OPEN, driver=network.Driver.MACVLAN),
    ]
    used = draw(st.lists(st.sampled_from(networks), unique_by=lambda each: each.name))
    boxes = [box(name, path) for name, path in PATHS.items()] + [box("guest", GUEST, inode=1)]
    present = draw(st.lists(st.sampled_from(boxes), unique_by=lambda each: each.name))
    ends = []
    for number, each in enumerate(boxes, 2):
        joined = draw(st.lists(st.sampled_from(networks), unique_by=lambda one: one.name))
        for place, on in enumerate(joined):
            if each in present and on in used:
                addresses = [str(pool.subnet[number]) for pool in on.pools]
                priority = draw(st.integers(-1, 1))
                ends.append(end(on, each, *addresses, ifname=f"eth{place}", gw_priority=priority))
    return at(1, *used, *present, *ends)


def kernel() -> fake.FakeKernel:
    """One with foreign things in it, that must never change."""
    made = fake.FakeKernel()
    made._inode = 0
    made.adopt(GUEST)
    foreign = world.Link(name="br-foreign", kind=world.Kind.BRIDGE, up=True)
    for path in (world.HOST, GUEST):
        space = made.spaces[path]
        space.links["br-foreign"] = foreign
        space.addresses.add(world.Address("br-foreign", ip_interface("192.0.2.1/24"), ours=False))
        space.routes.add(
            world.Route(destination=ip_network("198.51.100.0/24"), link="br-foreign", ours=False)
        )
    return made


def foreign(of: fake.FakeKernel) -> object:
    return [
        (
            path,
            {name: link for name, link in space.links.items() if not link.mark and name != "lo"},
            {each for each in space.addresses if not each.ours and each.link != "lo"},
            {each for each in space.routes if each.link == "br-foreign"},
        )
        for path, space in of.spaces.items()
        if path in (world.HOST, GUEST)
    ]


def done(work: Coroutine[None, None, T]) -> T:
    """The result of a coroutine that never waits: the fake kernel's. A loop would cost 0.3 ms."""
    try:
        work.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    raise AssertionError("the kernel in memory waited")


def read(of: fake.FakeKernel, want: Want) -> contract.Have:
    return done(of.read(contract.Scope(paths=frozenset(want.spaces) - {""})))


def apply(to: fake.FakeKernel, steps_: tuple[steps.Step, ...]) -> None:
    refusals = done(to.apply(steps_))
    assert refusals == (), refusals


def lacks(of: fake.FakeKernel, want: Want) -> list[str]:
    """What is not as wanted, judged without the plan."""
    found: list[str] = []
    ours = {path: {n for n, link in s.links.items() if link.mark} for path, s in of.spaces.items()}
    for path, wanted in want.spaces.items():
        space = of.spaces[path]
        marked = {link.name for link in wanted.links if link.mark}
        found += [f"stray {path} {name}" for name in ours[path] ^ marked]
        for link in wanted.links:
            have = space.links.get(link.name)
            if have is None or plan.differs(have, link) or have.mark != link.mark:
                found.append(f"link {path} {link}: {have}")
        given = {each for each in wanted.addresses if each.ours}
        found += [f"address {path} {each}" for each in given ^ mine(space.addresses)]
        found += [f"address {path} {each}" for each in wanted.addresses - given - space.addresses]
        own = {each for each in wanted.routes if each.ours}
        found += [f"route {path} {each}" for each in own ^ mine(space.routes)]
        found += [f"prefix {path} {each}" for each in wanted.routes - own - space.routes]
    made = {path for path, wanted in want.spaces.items() if wanted.owner is world.Owner.SDD}
    return found + [f"space {path}" for path in of.named ^ made]


def guarded(of: fake.FakeKernel, want: Want) -> frozenset[int]:
    return frozenset(of.switched) if want.table.fences else frozenset()


def mine(things: set[world.Address] | set[world.Route]) -> set[world.Address | world.Route]:
    return {each for each in things if each.ours}


@given(states(), states())
def test_any_state_becomes_any_other_in_one_pass(
    before: state.ClusterState, after: state.ClusterState
) -> None:
    one = kernel()
    untouched = foreign(one)
    for now in (before, after):
        want = desired(now, NODE)
        apply(one, plan.diff(read(one, want), want))
        assert lacks(one, want) == []
        assert plan.diff(read(one, want), want) == ()
        assert one.table == replace(want.table, guarded=guarded(one, want))
    assert foreign(one) == untouched


@given(states(), states(), st.integers(0, 200))
def test_a_kill_at_any_step_heals(
    before: state.ClusterState, after: state.ClusterState, killed_after: int
) -> None:
    one = kernel()
    untouched = foreign(one)
    first, then = desired(before, NODE), desired(after, NODE)
    apply(one, plan.diff(read(one, first), first)[:killed_after])
    apply(one, plan.diff(read(one, then), then)[:killed_after])
    apply(one, plan.diff(read(one, then), then))
    assert lacks(one, then) == []
    assert foreign(one) == untouched


Damage = Callable[[fake.FakeKernel, st.DataObject], None]


def a_link(of: fake.FakeKernel, data: st.DataObject) -> tuple[str, str] | None:
    there = sorted((p, n) for p, s in of.spaces.items() for n, k in s.links.items() if k.mark)
    return data.draw(st.sampled_from(there)) if there else None


def link_removed(of: fake.FakeKernel, data: st.DataObject) -> None:
    if place := a_link(of, data):
        of.remove_link(*place)


def link_down(of: fake.FakeKernel, data: st.DataObject) -> None:
    if place := a_link(of, data):
        of.set_down(*place)


def link_changed(of: fake.FakeKernel, data: st.DataObject) -> None:
    if place := a_link(of, data):
        links = of.spaces[place[0]].links
        change = data.draw(
            st.sampled_from(
                [
                    {"mark": world.UNFINISHED},
                    {"mtu": 1280},
                    {"mac": "02:99:99:99:99:99"},
                    {"master": ""},
                ]
            )
        )
        links[place[1]] = replace(links[place[1]], **change)  # type: ignore[arg-type]  # a mixed table


def addresses_flushed(of: fake.FakeKernel, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(of.spaces)))
    space = of.spaces[path]
    space.addresses = {each for each in space.addresses if not each.ours}
    routes_gone(space)


def routes_flushed(of: fake.FakeKernel, data: st.DataObject) -> None:
    routes_gone(of.spaces[data.draw(st.sampled_from(sorted(of.spaces)))])


def a_route_removed(of: fake.FakeKernel, data: st.DataObject) -> None:
    space = of.spaces[data.draw(st.sampled_from(sorted(of.spaces)))]
    if there := sorted((each for each in space.routes if each.link != "br-foreign"), key=str):
        space.routes.remove(data.draw(st.sampled_from(there)))


def routes_gone(space: fake._Space) -> None:
    """All but the foreign one; the kernel's own to subnets too."""
    space.routes = {each for each in space.routes if each.link == "br-foreign"}


def space_removed(of: fake.FakeKernel, data: st.DataObject) -> None:
    if of.named:
        of.remove_space(data.draw(st.sampled_from(sorted(of.named))))


def table_removed(of: fake.FakeKernel, _: st.DataObject) -> None:
    of.table = None


def stray_address(of: fake.FakeKernel, data: st.DataObject) -> None:
    if place := a_link(of, data):
        stray = world.Address(place[1], ip_interface("203.0.113.9/32"))
        of.spaces[place[0]].addresses.add(stray)


DAMAGES: tuple[Damage, ...] = (
    link_removed,
    link_down,
    link_changed,
    addresses_flushed,
    routes_flushed,
    a_route_removed,
    space_removed,
    table_removed,
    stray_address,
)


@given(states(), st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=4), st.data())
def test_any_damage_heals_in_one_pass(
    now: state.ClusterState, damages: list[Damage], data: st.DataObject
) -> None:
    one = kernel()
    want = desired(now, NODE)
    apply(one, plan.diff(read(one, want), want))
    untouched = foreign(one)
    for damage in damages:
        damage(one, data)
    apply(one, plan.diff(read(one, want), want))
    assert lacks(one, want) == []
    assert foreign(one) == untouched
    assert one.table == replace(want.table, guarded=guarded(one, want))


@given(states())
def test_an_empty_state_leaves_nothing_of_ours(now: state.ClusterState) -> None:
    one = kernel()
    want, nothing = desired(now, NODE), desired(at(2), NODE)
    apply(one, plan.diff(read(one, want), want))
    apply(one, plan.diff(read(one, nothing), nothing))
    assert (set(one.spaces), one.table) == ({world.HOST, GUEST}, firewall.OPEN)
    assert {name for name, link in one.spaces[world.HOST].links.items() if link.mark} == set()

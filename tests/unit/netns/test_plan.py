"""The steps, as a person would order them."""

from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from netns import contract, plan, steps, world
from netns.desired import desired
from sdd import errors
from sdd.model import network
from tests.netns_states import NODE, at, box, end, net

MACVLAN = network.Driver.MACVLAN

FRONT = net("front", "10.1.0.0/24")
BOX = box("one", "/run/sdd/netns/one")
END = end(FRONT, BOX, "10.1.0.2")
WANT = desired(at(1, FRONT, BOX, END), NODE)
LO = world.Link(name="lo", kind=world.Kind.LOOPBACK)
NOTHING = contract.Have(spaces={world.HOST: world.Space(links={"lo": LO})})


def met() -> contract.Have:
    """A kernel in which all of WANT is there."""
    spaces = {
        path: world.Space(
            links={"lo": LO} | {link.name: link for link in wanted.links},
            addresses=wanted.addresses,
            routes=wanted.routes,
        )
        for path, wanted in WANT.spaces.items()
    }
    named = {BOX.netns: 7}
    return contract.Have(spaces=spaces, named=named, table=WANT.table, forwarding=WANT.forwarding)


def names(of: tuple[steps.Step, ...]) -> list[str]:
    return [type(step).__name__ for step in of]


def test_from_nothing_the_fence_stands_before_the_first_link() -> None:
    assert names(plan.diff(NOTHING, WANT)) == [
        "MakeSpace",
        "WriteTable",
        "Forward",
        "AddLink",
        "AddPair",
        "AddAddress",
        "AddAddress",
        "SetLink",
        "AddRoute",
    ]


def test_nothing_is_done_when_all_is_there() -> None:
    assert plan.diff(met(), WANT) == ()


def test_to_nothing_links_go_before_the_namespace() -> None:
    gone = plan.diff(met(), desired(at(2), NODE))
    assert names(gone) == ["DropLink", "DropLink", "DropSpace", "WriteTable"]
    assert all(isinstance(step, steps.DropSpace) or not step.space for step in gone)


def test_a_lost_bridge_is_made_again_and_its_ports_get_it_as_master() -> None:
    have = met()
    host = have.spaces[world.HOST]
    links = {
        name: replace(link, master="") for name, link in host.links.items() if name != FRONT.device
    }
    damaged = replace(have, spaces={**have.spaces, "": replace(host, links=links)})
    steps_ = plan.diff(damaged, WANT)
    assert names(steps_) == ["AddLink", "SetLink"]
    assert steps_[1].subject == END.id


def test_a_missing_inner_end_takes_the_outer_one_out_first() -> None:
    have = met()
    inside = replace(
        have.spaces[BOX.netns],
        links={"lo": LO},
        addresses=world.LOOPBACK_ADDRESSES,
        routes=frozenset(world.kernel_routes(world.LOOPBACK_ADDRESSES)),
    )
    done = plan.diff(replace(have, spaces={**have.spaces, BOX.netns: inside}), WANT)
    assert names(done) == ["DropLink", "AddPair", "AddAddress", "SetLink", "AddRoute"]


def test_a_foreign_address_and_route_are_neither_removed_nor_counted_as_ours() -> None:
    have = met()
    inside = have.spaces[BOX.netns]
    theirs = replace(
        inside,
        addresses=inside.addresses
        | {world.Address("eth0", ip_interface("10.1.0.99/24"), ours=False)},
        routes=inside.routes
        | {world.Route(destination=ip_network("10.9.0.0/16"), link="eth0", ours=False)},
    )
    assert plan.diff(replace(have, spaces={**have.spaces, BOX.netns: theirs}), WANT) == ()


@pytest.mark.parametrize(
    ("inode", "expected"), [(0, ["AddRoute"]), (5, [])], ids=["ours", "adopted"]
)
def test_a_foreign_default_route_gives_way_in_our_namespaces_only(
    inode: int, expected: list[str]
) -> None:
    one = box("one", BOX.netns, inode=inode)
    want = desired(at(1, FRONT, one, end(FRONT, one, "10.1.0.2")), NODE)
    have = met()
    (route,) = (each for each in have.spaces[BOX.netns].routes if each.ours)
    theirs = replace(route, gateway=None, ours=False)
    routes = have.spaces[BOX.netns].routes - {route} | {theirs}
    inside = replace(have.spaces[BOX.netns], inode=inode, routes=routes)
    planned = plan.diff(replace(have, spaces={**have.spaces, BOX.netns: inside}), want)
    assert names(planned) == expected


PREFIX = next(
    each
    for each in WANT.spaces[BOX.netns].routes
    if not each.ours and each.table == world.MAIN_TABLE
)


def without_prefix(*instead: world.Route, inode: int = 0, **changes: object) -> contract.Have:
    """All of WANT is there, but in the sandbox the route to the subnet."""
    have = met()
    inside = have.spaces[BOX.netns]
    routes = inside.routes - {PREFIX} | set(instead)
    damaged = replace(inside, inode=inode, routes=routes, **changes)  # type: ignore[arg-type]  # mixed
    return replace(have, spaces={**have.spaces, BOX.netns: damaged})


def test_a_lost_route_to_a_subnet_comes_back_before_the_gateway_in_it() -> None:
    (step,) = plan.diff(without_prefix(), WANT)
    assert isinstance(step, steps.AddRoute)
    assert (step.route, step.replace, step.subject) == (PREFIX, False, END.id)
    assert str(step.route.source) == "10.1.0.2"
    have = without_prefix()
    inside = have.spaces[BOX.netns]
    local = frozenset(each for each in inside.routes if each.table == world.LOCAL_TABLE)
    empty = replace(inside, routes=local)
    both = plan.diff(replace(have, spaces={**have.spaces, BOX.netns: empty}), WANT)
    gateways = [step.route.gateway for step in both if isinstance(step, steps.AddRoute)]
    assert gateways == [None, PREFIX.destination[1]]


def test_any_route_over_the_link_to_its_subnet_will_do() -> None:
    theirs = replace(PREFIX, metric=100, ours=True)
    assert [type(each) for each in plan.diff(without_prefix(theirs), WANT)] == [steps.DropRoute]
    assert plan.diff(without_prefix(replace(theirs, ours=False)), WANT) == ()


@pytest.mark.parametrize(("inode", "expected"), [(0, [True]), (5, [])], ids=["ours", "adopted"])
def test_a_subnet_bent_to_a_gateway_is_straightened_in_our_namespaces_only(
    inode: int, expected: list[bool]
) -> None:
    one = box("one", BOX.netns, inode=inode)
    want = desired(at(1, FRONT, one, end(FRONT, one, "10.1.0.2")), NODE)
    have = without_prefix(replace(PREFIX, gateway=PREFIX.destination[9]), inode=inode)
    planned = plan.diff(have, want)
    assert [step.replace for step in planned if isinstance(step, steps.AddRoute)] == expected


def test_what_the_kernel_makes_itself_is_not_asked_for() -> None:
    down = {"lo": LO, "eth0": replace(met().spaces[BOX.netns].links["eth0"], up=False)}
    assert names(plan.diff(without_prefix(links=down), WANT)) == ["SetLink"]
    bare = without_prefix(addresses=world.LOOPBACK_ADDRESSES)
    assert names(plan.diff(bare, WANT)) == ["AddAddress"]


@pytest.mark.parametrize("link", ["lo", "eth0"])
def test_a_lost_way_to_an_own_address_comes_back(link: str) -> None:
    have = met()
    inside = have.spaces[BOX.netns]
    lost = {each for each in inside.routes if (each.link, each.table) == (link, world.LOCAL_TABLE)}
    damaged = replace(inside, routes=inside.routes - lost)
    planned = plan.diff(replace(have, spaces={**have.spaces, BOX.netns: damaged}), WANT)
    assert {step.route for step in planned if isinstance(step, steps.AddRoute)} == lost
    assert len(planned) == len(lost) > 0


def test_loopback_gets_its_address_back_and_from_the_kernel_when_it_comes_up() -> None:
    have = met()
    inside = have.spaces[BOX.netns]
    eth0 = frozenset(each for each in inside.addresses if each.link == "eth0")
    damaged = replace(inside, addresses=eth0)
    planned = plan.diff(replace(have, spaces={**have.spaces, BOX.netns: damaged}), WANT)
    assert [(type(each), each.subject) for each in planned] == [(steps.AddAddress, BOX.id)]
    down = replace(damaged, links={**inside.links, "lo": replace(LO, up=False)})
    planned = plan.diff(replace(have, spaces={**have.spaces, BOX.netns: down}), WANT)
    assert [type(each) for each in planned] == [steps.SetLink]


def test_a_setting_the_kernel_does_not_report_is_not_asked_for_again() -> None:
    have = met()
    inside = have.spaces[BOX.netns]
    bare = {**inside.links, "eth0": replace(inside.links["eth0"], settings=frozenset())}
    silent = replace(have, spaces={**have.spaces, BOX.netns: replace(inside, links=bare)})
    assert plan.diff(silent, WANT) == ()


def test_a_guest_that_is_gone_gets_no_steps_but_a_failure() -> None:
    guest = box("guest", "/proc/7/ns/net", inode=5)
    want = desired(at(1, FRONT, guest, end(FRONT, guest, "10.1.0.2")), NODE)
    (failure,) = plan.obstacles(NOTHING, want)
    assert failure.subject == guest.id
    assert "sdctl sandbox rm guest" in failure.hint
    assert all(step.space == world.HOST for step in plan.diff(NOTHING, want))
    assert "AddPair" not in names(plan.diff(NOTHING, want))


@pytest.mark.parametrize("name", [FRONT.device, END.host_link])
@pytest.mark.parametrize("mark", ["", world.UNFINISHED])
def test_a_link_of_ours_that_was_robbed_of_its_alias_gets_it_back(name: str, mark: str) -> None:
    robbed = on_host(name, mark=mark)
    assert plan.obstacles(robbed, WANT) == ()
    (step,) = plan.diff(robbed, WANT)
    assert step == steps.SetLink(link=WANT.links[name], subject=WANT.links[name].mark)


def test_a_bridge_with_our_name_and_its_own_mac_is_foreign() -> None:
    stranger = on_host(FRONT.device, mark="", mac="02:99:99:99:99:99")
    assert {each.code for each in plan.obstacles(stranger, WANT)} == {"SDD-NETNS-TAKEN"}
    touched = [type(each) for each in plan.diff(stranger, WANT) if FRONT.device in str(each)]
    assert set(touched) <= {steps.DropAddress, steps.DropRoute}


@pytest.mark.parametrize(
    ("kind", "options", "advice"),
    [
        (world.Kind.OTHER, {"bridge.name": "eth0"}, "choose another name"),
        (world.Kind.LOOPBACK, {"bridge.name": "eth0"}, "choose another name"),
        (world.Kind.OTHER, {}, "rename it: ip link set"),
        (world.Kind.BRIDGE, {}, "rename or remove it: ip link del"),
    ],
)
def test_nobody_is_told_to_remove_a_link_that_may_be_a_network_card(
    kind: world.Kind, options: dict[str, str], advice: str
) -> None:
    one = net("lan", "10.2.0.0/24", options=options)
    member = end(one, BOX, "10.2.0.2")
    want = desired(at(1, one, BOX, member), NODE)
    links = {"lo": LO, one.device: world.Link(name=one.device, kind=kind)}
    have = contract.Have(spaces={world.HOST: world.Space(links=links)}, named={})
    told = plan.obstacles(have, want)
    assert {each.subject for each in told} == {one.id, member.id}
    assert all(advice in each.hint for each in told)


def on_host(name: str, **changes: object) -> contract.Have:
    """All of WANT is there, but for one link of the host."""
    have = met()
    host = have.spaces[world.HOST]
    changed = replace(host.links[name], **changes)  # type: ignore[arg-type]  # a mixed table
    spaces = {**have.spaces, world.HOST: replace(host, links={**host.links, name: changed})}
    return replace(have, spaces=spaces)


LAN = net("lan", "10.2.0.0/24", driver=MACVLAN, options={"parent": "up0", "host-access": "true"})
ON_LAN = end(LAN, BOX, "10.2.0.2")


@pytest.mark.parametrize("where", [world.HOST, BOX.netns], ids=["host", "sandbox"])
def test_a_link_on_a_parent_that_was_robbed_of_all_marks_is_made_again(where: str) -> None:
    want = desired(at(1, LAN, BOX, ON_LAN), NODE)
    (link,) = (each for each in want.spaces[where].links if each.kind is world.Kind.MACVLAN)
    robbed = replace(link, mark="", parent="")
    spaces = {path: world.Space(links={"lo": LO}) for path in want.spaces}
    spaces[where] = world.Space(links={"lo": LO, link.name: robbed})
    have = contract.Have(spaces=spaces, named={BOX.netns: 7})
    assert plan.obstacles(have, want) == ()
    dropped = steps.DropLink(space=where, name=link.name, subject=link.mark)
    assert dropped in plan.diff(have, want)
    theirs = replace(robbed, mac="02:99:99:99:99:99")
    spaces[where] = world.Space(links={"lo": LO, link.name: theirs})
    assert dropped not in plan.diff(have, want)


def test_of_a_guest_nobody_can_tell_of_nothing_is_changed_and_that_is_said() -> None:
    guest = box("one", "/away/one", inode=7)
    own = end(FRONT, guest, "10.1.0.2")
    want = desired(at(1, FRONT, guest, own), NODE)
    host = world.Space(links={"lo": LO} | {link.name: link for link in want.host.links})
    why = errors.Unavailable("nobody can tell", hint="mend it", code="SDD-NETNS-HANGS")
    have = contract.Have(spaces={world.HOST: host}, hanging={guest.netns: why})
    (failure,) = plan.obstacles(have, want)
    assert (failure.subject, failure.code, failure.hint) == (guest.id, why.code, why.hint)
    assert failure.sentence == "sandbox 'one' stays as it is: nobody can tell"
    assert not [each for each in plan.diff(have, want) if each.subject in (guest.id, own.id)]

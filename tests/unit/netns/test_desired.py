"""What a state asks of this node's kernel."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from netns import world
from netns.desired import desired
from sdd import state
from sdd.model import ids, network, sandbox
from tests.netns_states import NODE, at, box, end, net

V4 = net("v4", "10.1.0.0/24")
V6 = net("v6", "fd06::/64")
DUAL = net("dual", "10.3.0.0/24", "fd03::/64")
INNER = net("inner", "10.4.0.0/24", internal=True)
BOX = box("one", "/run/sdd/netns/one")


def defaults(*objects: state.Object) -> dict[str, str]:
    """Gateway → link of the sandbox's default routes."""
    space = desired(at(1, BOX, *objects), NODE).spaces[BOX.netns]
    routes = [route for route in space.routes if route.ours]
    assert {route.destination.prefixlen for route in routes} <= {0}
    return {str(route.gateway): route.link for route in routes}


def test_C56_the_gateway_follows_what_is_connected() -> None:
    on4 = end(V4, BOX, "10.1.0.2", ifname="eth0")
    on6 = end(V6, BOX, "fd06::2", ifname="eth1")
    both = end(DUAL, BOX, "10.3.0.2", "fd03::2", ifname="eth2")
    assert defaults(V4, on4) == {"10.1.0.1": "eth0"}
    assert defaults(V4, V6, on4, on6) == {"10.1.0.1": "eth0", "fd06::1": "eth1"}
    everything = defaults(V4, V6, DUAL, on4, on6, both)
    assert everything == {"10.3.0.1": "eth2", "fd03::1": "eth2"}


def test_C58_priority_counts_for_each_family_alone() -> None:
    low = end(V4, BOX, "10.1.0.2", ifname="eth0", gw_priority=-5)
    high = end(V6, BOX, "fd06::2", ifname="eth1", gw_priority=100)
    assert defaults(V4, V6, low, high) == {"10.1.0.1": "eth0", "fd06::1": "eth1"}


def test_C59_equal_priorities_are_sorted_by_name() -> None:
    other = net("a-first", "10.9.0.0/24")
    ends = end(V4, BOX, "10.1.0.2"), end(other, BOX, "10.9.0.2", ifname="eth1")
    assert defaults(V4, other, *ends) == {"10.9.0.1": "eth1"}


def test_an_internal_network_gives_no_default_route_even_with_priority() -> None:
    inside = end(INNER, BOX, "10.4.0.2", gw_priority=9)
    assert defaults(INNER, inside) == {}
    outside = end(V4, BOX, "10.1.0.2", ifname="eth1")
    assert defaults(INNER, V4, inside, outside) == {"10.1.0.1": "eth1"}


def test_a_network_without_gateway_gives_none() -> None:
    pool = network.Pool(subnet=ip_network("10.5.0.0/24"))
    bare = replace(net("bare", "10.5.0.0/24"), pools=(pool,))
    assert defaults(bare, end(bare, BOX, "10.5.0.2")) == {}
    assert desired(at(1, bare), NODE).host.addresses == frozenset()


def test_the_bridge_has_the_gateway_and_the_fence_its_subnets() -> None:
    want = desired(at(1, DUAL), NODE)
    (bridge,) = want.host.links
    assert (bridge.name, bridge.mark) == (f"br-{DUAL.id[:12]}", DUAL.id)
    assert {str(each.interface) for each in want.host.addresses} == {"10.3.0.1/24", "fd03::1/64"}
    (fence,) = want.table.fences
    subnets = {side.subnet for side in fence.sides}
    assert subnets == {ip_network("10.3.0.0/24"), ip_network("fd03::/64")}
    assert want.forwarding == {4, 6}


def test_each_address_wants_the_kernels_own_route_to_its_subnet() -> None:
    want = desired(at(1, DUAL, BOX, end(DUAL, BOX, "10.3.0.2", "fd03::2")), NODE)
    for path, link, host in ((world.HOST, DUAL.device, 1), (BOX.netns, "eth0", 2)):
        found = {
            (str(each.destination), each.link, each.metric, str(each.source))
            for each in want.spaces[path].routes
            if not each.ours and each.link == link
        }
        assert found == {
            ("10.3.0.0/24", link, 0, f"10.3.0.{host}"),
            (f"10.3.0.{host}/32", link, 0, f"10.3.0.{host}"),
            ("fd03::/64", link, 256, "None"),
        }
        local = {str(each.destination) for each in want.spaces[path].routes if each.link == "lo"}
        in_sandbox = {"127.0.0.0/8", "127.0.0.1/32"}
        assert local == (in_sandbox if path else set())


def test_a_guest_with_an_ipv6_address_is_not_asked_for_that_of_loopback() -> None:
    guest = box("guest", "/proc/7/ns/net", inode=5)
    want = desired(at(1, DUAL, guest, end(DUAL, guest, "10.3.0.2", "fd03::2")), NODE)
    own = {each for each in want.spaces[guest.netns].addresses if each.link == "lo"}
    assert [str(each.interface) for each in own] == ["127.0.0.1/8"]


def test_an_address_alone_in_its_subnet_has_a_route_to_it_in_ipv6_only() -> None:
    alone = [world.Address("ha", ip_interface(each)) for each in ("10.3.0.9/32", "fd03::9/128")]
    ways = [each for each in world.kernel_routes(alone) if each.table == world.MAIN_TABLE]
    assert [str(each.destination) for each in ways] == ["fd03::9/128"]


def test_an_internal_network_asks_for_no_forwarding() -> None:
    want = desired(at(1, INNER), NODE)
    assert want.forwarding == frozenset()
    assert [fence.internal for fence in want.table.fences] == [True]


def test_a_bridge_mac_is_local_unicast_and_fixed() -> None:
    first, second = (desired(at(1, V4), NODE).host.links[0].mac for _ in range(2))
    assert first == second
    assert int(first[:2], 16) & 3 == 2


def test_the_mtu_option_reaches_bridge_and_both_ends() -> None:
    jumbo = net("jumbo", "10.6.0.0/24", options={"driver.mtu": "9000"})
    want = desired(at(1, jumbo, BOX, end(jumbo, BOX, "10.6.0.2")), NODE)
    links = [*want.host.links, *want.spaces[BOX.netns].links[1:]]
    assert [link.mtu for link in links] == [9000, 9000, 9000]


def test_only_the_sandboxes_of_this_node_are_wanted() -> None:
    far = box("far", "/run/sdd/netns/far", node=ids.NodeId("there"))
    want = desired(at(1, V4, BOX, far, end(V4, far, "10.1.0.3")), NODE)
    assert set(want.spaces) == {world.HOST, BOX.netns}
    assert [link.kind for link in want.host.links] == [world.Kind.BRIDGE]


def test_an_adopted_namespace_is_a_guest_known_by_its_inode() -> None:
    guest = box("guest", "/proc/7/ns/net", inode=4711)
    space = desired(at(1, guest), NODE).spaces[guest.netns]
    assert (space.owner, space.inode) == (world.Owner.GUEST, 4711)
    assert desired(at(1, BOX), NODE).spaces[BOX.netns].owner is world.Owner.SDD
    assert guest.origin is sandbox.Origin.ADOPTED


def test_a_driver_nobody_knows_fails_for_the_network_and_its_endpoints() -> None:
    far = replace(V4, driver=network.Driver.OVERLAY)
    on = end(far, BOX, "10.1.0.2")
    want = desired(at(1, far, BOX, on), NODE)
    assert {failure.subject for failure in want.failures} == {far.id, on.id}
    assert {failure.code for failure in want.failures} == {"SDD-NET-DRIVER"}
    assert [link.name for link in want.spaces[BOX.netns].links] == ["lo"]


def test_what_was_made_of_the_same_objects_is_taken_over() -> None:
    on = end(V4, BOX, "10.1.0.2")
    before = desired(at(1, V4, BOX, on), NODE)
    other = box("two", "/run/sdd/netns/two")
    objects = (V4, BOX, on, other, end(V4, other, "10.1.0.3"))
    after = desired(at(2, *objects), NODE, before)
    assert after == desired(at(2, *objects), NODE)
    assert after.spaces[BOX.netns] is before.spaces[BOX.netns]
    moved = replace(on, addresses=end(V4, BOX, "10.1.0.9").addresses)
    changed = desired(at(3, V4, BOX, moved), NODE, before)
    assert changed == desired(at(3, V4, BOX, moved), NODE)
    assert ip_address("10.1.0.9") in {
        each.interface.ip for each in changed.spaces[BOX.netns].addresses
    }


def test_without_lineage_all_is_made_anew() -> None:
    other = box("two", "/run/sdd/netns/two")
    ends = (end(V4, BOX, "10.1.0.2"), end(V4, other, "10.1.0.3"))
    full = desired(at(1, V4, BOX, other, *ends), NODE)
    before = replace(full, boxes=replace(full.boxes, by_sandbox=dict(full.boxes.by_sandbox)))
    left = at(2, V4, other, ends[1])
    assert desired(left, NODE, replace(before, links=dict(full.links))) == desired(left, NODE)


def test_a_part_is_the_named_namespaces_and_links_only() -> None:
    want = desired(at(1, V4, DUAL, BOX, end(V4, BOX, "10.1.0.2")), NODE)
    part = want.part([BOX.netns, "/gone"], [V4.device])
    assert set(part.spaces) == {world.HOST, BOX.netns}
    assert [link.name for link in part.host.links] == [V4.device]
    assert {each.link for each in part.host.addresses} == {V4.device}
    assert part.table == want.table


def test_an_endpoint_with_a_zone_is_its_own_failure_and_the_sandbox_keeps_the_others() -> None:
    bad = replace(end(V6, BOX, "fd06::2"), addresses=(ip_interface("fd06::2%eth0/64"),))
    good = end(V4, BOX, "10.1.0.2", ifname="eth1")
    clean = desired(at(1, BOX, V4, V6, good), NODE)
    now = at(1, BOX, V4, V6, good, bad)
    for before in (None, desired(now, NODE)):
        want = desired(now, NODE, before)
        (failure,) = want.failures
        assert (failure.subject, failure.code) == (bad.id, "SDD-OBJECT-DATA")
        assert "sandbox 'one' is not on network 'v6'" in failure.sentence
        assert want.spaces == clean.spaces


def test_a_network_with_a_zone_is_its_own_failure_and_the_others_are_made() -> None:
    for pool in (
        network.Pool(subnet=ip_network("fd07::%a/64")),
        network.Pool(subnet=ip_network("fd07::/64"), gateway=ip_address("fd07::1%a")),
    ):
        bad = replace(net("bad", "fd07::/64"), pools=(pool,))
        plug = end(net("bad", "fd07::/64"), BOX, "fd07::2", ifname="eth5")
        good = end(V4, BOX, "10.1.0.2", ifname="eth1")
        want = desired(at(1, BOX, V4, good, bad, plug), NODE)
        clean = desired(at(1, BOX, V4, good), NODE)
        assert {each.subject for each in want.failures} == {bad.id, plug.id}
        assert (want.spaces, want.table) == (clean.spaces, clean.table)


def test_endpoints_of_a_network_that_cannot_be_made_fail_for_its_reason() -> None:
    huge = net("huge", "10.6.0.0/24", options={"driver.mtu": "100000"})
    one = box("one", "/run/sdd/netns/one")
    on = end(huge, one, "10.6.0.2")
    first, second = desired(at(1, huge, one, on), NODE).failures
    assert (first.subject, second.subject) == (huge.id, on.id)
    assert second == replace(first, subject=on.id)

"""Whatever changes after whatever: what is amended is what would be made anew."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from netns import reconciler
from netns.desired import Want, desired
from sdd import state
from sdd.model import ids, network, port, sandbox, service
from sdd.model.look import NOWHERE
from tests.netns_states import NODE, at, box, end, identity, net
from tests.property import test_netns_plan as plans

PORTS = (port.Port(published=8080, target=80),)
INGRESS = replace(
    net(network.INGRESS_NAME, "10.9.0.0/24"),
    predefined=True,
    pools=(network.Pool(subnet=ip_network("10.9.0.0/24")),),  # the host has no address there
)
GATEWAY = replace(net(network.GATEWAY_NAME, "10.8.0.0/24"), predefined=True)
ROUTED = {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}


@st.composite
def worlds(draw: st.DrawFn) -> state.ClusterState:
    """As of `plans`, also with ports, services, the ingress network and its sandbox."""
    drawn = draw(plans.states())
    boxes = {each.name: each for each in drawn.sandboxes.values()}
    published = draw(st.sets(st.sampled_from(["one", "two", "three"])))
    found: list[state.Object] = [
        replace(each, ports=PORTS) if each.name in published else each for each in boxes.values()
    ]
    for on in drawn.networks.values():
        is_routed = on.driver is network.Driver.BRIDGE and draw(st.booleans())
        found.append(replace(on, options={**on.options, **ROUTED}) if is_routed else on)
    # An endpoint keeps its link's name for life: with another one it is another endpoint.
    ends = [
        replace(each, id=ids.EndpointId(identity(f"{each.id} {each.ifname}")))
        for each in drawn.endpoints.values()
    ]
    found += ends
    for each in draw(st.lists(st.sampled_from(ends), max_size=2)) if ends else ():
        id_ = ids.ServiceId(identity(f"service on {each.network}"))
        ports = PORTS if draw(st.booleans()) else ()
        found += [
            service.Service(id=id_, name="web", network=each.network, number=1, ports=ports),
            service.Member(service=id_, endpoint=each.id, sandbox=each.sandbox, node=NODE),
        ]
    if draw(st.booleans()):
        gate = replace(box("gate", "/run/sdd/netns/gate"), origin=sandbox.Origin.INGRESS)
        found += [INGRESS, GATEWAY, gate]
        found += [end(INGRESS, gate, "10.9.0.2", ifname="eth1"), end(GATEWAY, gate, "10.8.0.2")]
    return at(1, *found)


def moves(before: state.ClusterState, after: state.ClusterState) -> Iterator[state.Change]:
    """What leads from one to the other, in the order of the tables."""
    for kind, table in state.TABLES.items():
        old: Mapping[Any, Any] = getattr(before, table)
        new: Mapping[Any, Any] = getattr(after, table)
        yield from (state.Gone(kind, key) for key in old.keys() - new.keys())
        yield from (state.Put(each) for key, each in new.items() if old.get(key) != each)


@given(st.lists(worlds(), min_size=2, max_size=5), st.data())
def test_what_is_amended_is_what_would_be_made_anew(
    those: list[state.ClusterState], data: st.DataObject
) -> None:
    now, want = state.EMPTY, None
    for each in those:
        steps = data.draw(st.permutations(list(moves(now, each))))
        cut = data.draw(st.integers(0, len(steps)))
        now = now.apply(ids.Revision(now.revision + 1), steps[:cut])
        now = now.apply(ids.Revision(now.revision + 1), steps[cut:])
        want = desired(now, NODE, want)
        fresh = desired(now, NODE)
        assert told(want) == told(fresh)


def told(want: Want) -> object:
    return want, tuple(want.host.links), want.failures, dict(want.links), set(want.spaces)


@given(st.lists(worlds(), min_size=2, max_size=4))
def test_a_pass_that_looks_nowhere_finds_all_that_is_new(those: list[state.ClusterState]) -> None:
    kernel = plans.kernel()
    one = reconciler.Reconciler(kernel, NODE)
    now = state.EMPTY
    for each in those:
        now = now.apply(ids.Revision(now.revision + 1), moves(now, each))
        outcome = plans.done(one.realise(now, NOWHERE))
        assert plans.lacks(kernel, desired(now, NODE)) == []
        assert outcome.repaired == 0

"""Deriving checks from those before gives the same as deriving them from nothing."""

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from lb.checked import checked, nothing
from sdd.model import endpoint, health, ids, network, sandbox, service
from sdd.model.network import Driver
from sdd.model.service import CheckKind, HealthCheck
from sdd.state import Change, ClusterState, Gone, Object, Put
from tests.unit.lb import ingress_states, states

NETS = ("front", "back")
BOXES = ("a", "b")
SERVICES = ("web", "api")
CHECKS = (
    HealthCheck(),
    states.CHECKED,
    HealthCheck(kind=CheckKind.EXEC, command="true"),
    HealthCheck(kind=CheckKind.UDP, port=53),
)
INGRESS_VIPS = (ip_address("10.0.0.200"),)


def net(name: str, driver: Driver) -> network.Network:
    return replace(states.net(name, 1 + NETS.index(name)), driver=driver)


def plug(name: str, on: str, number: int) -> endpoint.Endpoint:
    addresses = (f"10.0.{1 + NETS.index(on)}.{number}/24", f"fd00::{number}/64")
    return states.plug(name, on, *addresses[: number - 1])


def of(name: str, check: HealthCheck, *, is_led: bool) -> service.Service:
    made = states.svc(name, NETS[SERVICES.index(name)], check=check)
    return replace(made, ingress_vips=INGRESS_VIPS if is_led else ())


def joined(name: str, box: str, node: ids.NodeId, created: int) -> service.Member:
    one = states.member(name, box, NETS[SERVICES.index(name)], node=node)
    return replace(one, created=float(created))


def objects() -> st.SearchStrategy[Object]:
    nets, boxes, services = st.sampled_from(NETS), st.sampled_from(BOXES), st.sampled_from(SERVICES)
    nodes, numbers = st.sampled_from([states.NODE, states.ELSEWHERE]), st.integers(1, 3)
    verdicts = st.sampled_from(list(health.Status))
    return st.one_of(
        st.builds(net, nets, st.sampled_from([Driver.BRIDGE, Driver.MACVLAN])),
        st.builds(states.box, boxes, nodes),
        st.builds(lambda name, n: replace(states.box(name), netns=f"/n/{n}"), boxes, numbers),
        st.builds(plug, boxes, nets, numbers),
        st.builds(ingress_states.on_ingress, boxes, numbers),
        st.builds(of, services, st.sampled_from(CHECKS), is_led=st.booleans()),
        st.builds(joined, services, boxes, nodes, numbers),
        st.builds(
            lambda name, box, to: states.verdict(name, box, "front", to), services, boxes, verdicts
        ),
        st.sampled_from(ingress_states.ingress_box("sbox", 9)),
        st.sampled_from(ingress_states.ingress_box("sbox", 8, states.ELSEWHERE)),
    )


def gones() -> st.SearchStrategy[Change]:
    nets = st.sampled_from((*NETS, "ingress"))
    boxes = st.sampled_from((*BOXES, "sbox"))
    plugs = st.builds(lambda name, on: ids.EndpointId(f"{name}-{on}"), boxes, nets)
    services = st.sampled_from(SERVICES).map(ids.ServiceId)
    return st.one_of(
        st.builds(lambda name: Gone(sandbox.Sandbox, name), boxes),
        st.builds(lambda plug: Gone(endpoint.Endpoint, plug), plugs),
        st.builds(lambda name, plug: Gone(service.Member, (name, plug)), services, plugs),
        st.builds(lambda name: Gone(service.Service, name), services),
    )


# As it was before it was `ingress`, and as it is.
INGRESSES = (replace(ingress_states.INGRESS, predefined=False), ingress_states.INGRESS)
GROUND = (*(net(each, Driver.BRIDGE) for each in NETS), ingress_states.GATEWAY)


@settings(deadline=None)
@given(
    st.sampled_from(INGRESSES),
    st.lists(
        st.lists(st.one_of(objects(), st.sampled_from(INGRESSES)).map(Put) | gones(), max_size=6),
        max_size=6,
    ),
)
def test_step_by_step_is_the_same_as_at_once(
    ingress: network.Network, revisions: list[list[Change]]
) -> None:
    state = ClusterState().apply(ids.Revision(1), map(Put, (*GROUND, ingress)))
    followed = checked(state, nothing(states.NODE))
    for number, changes in enumerate(revisions, start=2):
        state = state.apply(ids.Revision(number), changes)
        followed = checked(state, followed)
        assert followed.checks == checked(state, nothing(states.NODE)).checks

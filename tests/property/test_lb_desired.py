"""Deriving from what was derived before gives the same as deriving from nothing."""

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from lb.desired import Desired, desired, nothing
from sdd.model import endpoint, health, ids, sandbox, service
from sdd.state import Change, ClusterState, Gone, Put
from tests.unit.lb import states

NETS = ("front", "back")
BOXES = ("a", "b", "c")
SERVICES = ("web", "api")


def puts() -> st.SearchStrategy[Change]:
    names, nets, svcs = st.sampled_from(BOXES), st.sampled_from(NETS), st.sampled_from(SERVICES)
    statuses = st.sampled_from(list(health.Status))
    numbers = st.integers(1, 3)
    checks = st.sampled_from([None, states.CHECKED])
    return st.one_of(
        st.builds(lambda name: Put(states.box(name)), names),
        st.builds(
            lambda name, net, n: Put(
                states.plug(name, net, f"10.0.{NETS.index(net)}.{BOXES.index(name) + 10 * n}/24")
            ),
            names,
            nets,
            numbers,
        ),
        st.builds(
            lambda of, net, n, check: Put(
                states.svc(of, net, f"10.0.{NETS.index(net)}.{100 + n}", number=n, check=check)
            ),
            svcs,
            nets,
            numbers,
            checks,
        ),
        st.builds(
            lambda of, name, net, n: Put(states.member(of, name, net, weight=n - 1)),
            svcs,
            names,
            nets,
            numbers,
        ),
        st.builds(
            lambda of, name, net, status: Put(states.verdict(of, name, net, status)),
            svcs,
            names,
            nets,
            statuses,
        ),
    )


def gones() -> st.SearchStrategy[Change]:
    names, nets, svcs = st.sampled_from(BOXES), st.sampled_from(NETS), st.sampled_from(SERVICES)
    plugs = st.builds(lambda name, net: ids.EndpointId(f"{name}-{net}"), names, nets)
    services = svcs.map(ids.ServiceId)
    return st.one_of(
        st.builds(lambda name: Gone(sandbox.Sandbox, name), names),
        st.builds(lambda plug: Gone(endpoint.Endpoint, plug), plugs),
        st.builds(lambda of, plug: Gone(service.Member, (of, plug)), services, plugs),
        st.builds(lambda of, plug: Gone(health.Verdict, (of, plug)), services, plugs),
    )


def shown(found: Desired) -> object:
    return {
        name: (want.name, want.place, dict(want.table.services), dict(want.owners))
        for name, want in found.sandboxes.items()
    }


@settings(deadline=None)
@given(st.lists(st.lists(puts() | gones(), max_size=6), max_size=6))
def test_step_by_step_is_the_same_as_at_once(revisions: list[list[Change]]) -> None:
    state = ClusterState().apply(
        ids.Revision(1), [Put(states.net(name, at)) for at, name in enumerate(NETS)]
    )
    # A member's service exists at every revision: the commands see to it.
    state = state.apply(
        ids.Revision(2),
        [
            Put(states.svc(of, NETS[at], str(ip_address(f"10.0.{at}.90")), number=at + 7))
            for at, of in enumerate(SERVICES)
        ],
    )
    followed = nothing(states.NODE)
    for number, changes in enumerate(revisions, start=3):
        state = state.apply(ids.Revision(number), changes)
        followed = desired(state, followed)
        assert shown(followed) == shown(desired(state, nothing(states.NODE)))


def test_what_did_not_change_is_the_same_object() -> None:
    town = states.state(
        states.net("front", 0),
        states.net("back", 1),
        states.box("a"),
        states.plug("a", "front", "10.0.0.1/24"),
        states.box("b"),
        states.plug("b", "back", "10.0.1.1/24"),
        states.svc("web", "front", "10.0.0.100"),
        states.svc("api", "back", "10.0.1.100", number=2),
        states.member("web", "a", "front"),
    )
    before = desired(town, nothing(states.NODE))
    later = town.apply(ids.Revision(2), [Put(states.member("web", "a", "front", weight=9))])
    after = desired(later, before)
    a, b = ids.SandboxId("a"), ids.SandboxId("b")
    assert after.sandboxes[b] is before.sandboxes[b]
    assert after.sandboxes[a] != before.sandboxes[a]

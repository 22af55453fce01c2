"""Indexes that follow each change are those that would be made anew."""

import functools
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sdd.model import endpoint, ids, sandbox
from sdd.model.port import Port
from sdd.state import EMPTY, Change, ClusterState, Gone, Object, Put
from tests.netns_states import box, end, net
from tests.unit.lb import states

NETS = [net(name, f"10.{number}.0.0/24") for number, name in enumerate("abc")]
BOXES = [box(f"box{number}", f"/run/{number}") for number in range(4)]
ENDS = [
    end(on, of, f"{on.pools[0].subnet[place + 2]}", gw_priority=priority)
    for on in NETS
    for place, of in enumerate(BOXES)
    for priority in (0, 7)
]
MEMBERS = [
    states.member("web", f"box{number}", "a", weight=weight)
    for number in range(3)
    for weight in (1, 9)
]
SERVICES = [
    replace(states.svc(name, "a", f"10.0.0.{number}"), slow_start_s=seconds, ports=ports)
    for number, name in enumerate(("web", "api"), 100)
    for seconds in (0.0, 5.0)
    for ports in ((), (Port(target=80, published=8080),))
]
OBJECTS: list[Object] = [*BOXES, *ENDS, *MEMBERS, *SERVICES]
INDEXES = [
    name for name, each in vars(ClusterState).items() if isinstance(each, functools.cached_property)
]
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.sampled_from(OBJECTS).map(Put),
    st.sampled_from(ENDS).map(lambda one: Gone(endpoint.Endpoint, one.id)),
    st.sampled_from(BOXES).map(lambda one: Gone(sandbox.Sandbox, one.id)),
    st.sampled_from(SERVICES).map(lambda one: Gone(type(one), one.id)),
    st.sampled_from(MEMBERS).map(lambda one: Gone(type(one), (one.service, one.endpoint))),
)


@given(st.lists(st.lists(CHANGES, max_size=4), max_size=6))
def test_indexes_that_follow_equal_those_made_anew(batches: list[list[Change]]) -> None:
    now = EMPTY.apply(ids.Revision(1), [Put(each) for each in NETS])
    for revision, batch in enumerate(batches, 2):
        for name in INDEXES:
            getattr(now, name)  # it is followed then
        now = now.apply(ids.Revision(revision), batch)
        anew = EMPTY.apply(now.revision, [Put(each) for table in tables(now) for each in table])
        for name in INDEXES:
            found, made = getattr(now, name), getattr(anew, name)
            assert (dict(found) if isinstance(found, Mapping) else found) == made


def tables(state: ClusterState) -> list[list[Object]]:
    return [
        list(state.networks.values()),
        list(state.sandboxes.values()),
        list(state.endpoints.values()),
        list(state.members.values()),
        list(state.services.values()),
    ]

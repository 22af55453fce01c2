"""Wanting from what was wanted before gives the same as wanting from nothing."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.desired import NOTHING, desired
from resolver.files.upstreams import DaemonDns
from sdd.model import endpoint, ids, record, sandbox
from sdd.model.nameserver import Nameserver
from sdd.state import Change, ClusterState, Gone, Put
from tests import resolver_states as states

NETS, BOXES = ("front", "com"), ("a", "b", "c")
DAEMONS = (DaemonDns(), DaemonDns(servers=(Nameserver(address=ip_address("192.0.2.1")),), ttl=9))


def _record(name: str, on: str) -> record.Record:
    return record.Record(
        id=ids.RecordId(states.identity(f"record {name} {on}")),
        network=ids.NetworkId(states.identity(on)),
        name=name,
        kind=record.RecordType.A,
        data="192.0.2.7",
    )


def _changes() -> st.SearchStrategy[Change]:
    names, nets, some = st.sampled_from(BOXES), st.sampled_from(NETS), st.booleans()
    labels = st.sampled_from(["db", "*.db"])
    return st.one_of(
        st.builds(
            lambda net, internal, dns: Put(
                states.net(net, internal=internal, dns=("192.0.2.9",) if dns else ())
            ),
            nets,
            some,
            some,
        ),
        st.builds(
            lambda name, own, left: Put(
                replace(states.box(name, servers=("192.0.2.8",) if own else ()), keeps_server=left)
            ),
            names,
            some,
            some,
        ),
        st.builds(
            lambda name, net, alias: Put(
                states.plug(name, net, "10.44.1.9/24", aliases=("x",) if alias else ())
            ),
            names,
            nets,
            some,
        ),
        st.builds(
            lambda name, net: Gone(
                endpoint.Endpoint, ids.EndpointId(states.identity(f"{name}-{net}"))
            ),
            names,
            nets,
        ),
        st.builds(lambda name: Gone(sandbox.Sandbox, ids.SandboxId(states.identity(name))), names),
        st.builds(lambda name: Put(replace(states.box(name), node=ids.NodeId("away"))), names),
        st.builds(lambda label, net: Put(_record(label, net)), labels, nets),
        st.builds(lambda label, net: Gone(record.Record, _record(label, net).id), labels, nets),
    )


def _whole(now: ClusterState) -> ClusterState:
    """Without endpoints that lead nowhere: no transaction leaves such."""
    lost = [
        Gone(endpoint.Endpoint, each.id)
        for each in now.endpoints.values()
        if each.sandbox not in now.sandboxes or each.network not in now.networks
    ]
    return now.apply(now.revision, lost)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.lists(_changes(), min_size=1), st.sampled_from(DAEMONS)), max_size=8))
def test_step_by_step_is_the_same_as_at_once(
    steps: list[tuple[list[Change], DaemonDns]],
) -> None:
    now, before = ClusterState(), NOTHING
    for number, (changes, daemon) in enumerate(steps, 1):
        now = _whole(now.apply(ids.Revision(number), changes))
        before = desired(now, states.NODE, daemon, before)
        fresh = desired(now, states.NODE, daemon)
        assert before.snapshot == fresh.snapshot
        assert (before.spots, before.texts) == (fresh.spots, fresh.texts)
        assert before.needs.keys() == fresh.needs.keys()
        assert {each.id: each for each in before.named} == {each.id: each for each in fresh.named}


def test_what_no_revision_touched_is_not_made_again() -> None:
    first = ClusterState().apply(
        ids.Revision(1),
        [Put(states.net("front")), *(Put(states.box(name)) for name in BOXES)],
    )
    one = desired(first, states.NODE, DAEMONS[0])
    assert set(one.needs) == set(first.sandboxes)
    plugged = first.apply(ids.Revision(2), [Put(states.plug("a", "front", "10.44.1.9/24"))])
    two = desired(plugged, states.NODE, DAEMONS[0], one)
    kept = {box for box, need in two.needs.items() if need is one.needs[box]}
    assert kept == set(first.sandboxes) - {ids.SandboxId(states.identity("a"))}


A_FRONT = states.plug("a", "front", "10.44.1.9/24")


@pytest.mark.parametrize(
    "change",
    [
        Gone(endpoint.Endpoint, A_FRONT.id),
        Put(states.plug("b", "front", "10.44.1.8/24")),
        Put(replace(A_FRONT, gw_priority=9)),
        Put(_record("*.db", "front")),
        Put(states.net("front", dns=("192.0.2.9",))),
        Put(states.box("a", servers=("192.0.2.8",))),
        Put(replace(states.box("a"), node=ids.NodeId("away"))),
        Gone(sandbox.Sandbox, ids.SandboxId(states.identity("c"))),
    ],
)
def test_each_change_reaches_the_sandbox_that_it_concerns(change: Change) -> None:
    ends = (A_FRONT, states.plug("a", "com", "10.45.1.9/24"))
    things = [Put(states.net(each)) for each in NETS] + [Put(states.box(each)) for each in BOXES]
    one = ClusterState().apply(ids.Revision(1), [*things, *map(Put, ends)])
    before = desired(one, states.NODE, DAEMONS[0])
    two = one.apply(ids.Revision(2), [change])
    now, fresh = (desired(two, states.NODE, DAEMONS[0], was) for was in (before, NOTHING))
    assert now.snapshot == fresh.snapshot
    assert (now.spots, now.texts) == (fresh.spots, fresh.texts)
    told = [(each.snapshot.views, each.spots) for each in (before, now)]
    assert told[0] != told[1]

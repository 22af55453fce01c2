"""Indexes follow their tables, and are kept while those stay the same."""

import functools

from sdd import state
from sdd.model import endpoint, ids
from sdd.state import ClusterState, Gone, Put
from tests.unit.lb import states

TOWN = states.state(
    states.net("front", 1),
    states.box("web1"),
    states.plug("web1", "front", "10.0.1.1/24"),
    states.svc("web", "front", "10.0.1.100"),
    states.member("web", "web1", "front"),
)
INDEXES = [
    name for name, each in vars(ClusterState).items() if isinstance(each, functools.cached_property)
]


def test_every_index_says_what_it_is_made_of() -> None:
    assert sorted(INDEXES) == sorted(state.INDEXES)
    assert all(sources <= set(state.TABLES.values()) for sources in state.INDEXES.values())


def test_an_index_of_unchanged_tables_is_kept_the_others_are_made_anew() -> None:
    before = {name: getattr(TOWN, name) for name in INDEXES}
    heavier = Put(states.member("web", "web1", "front", weight=9))
    after = TOWN.apply(ids.Revision(2), [heavier])
    kept = {name for name in INDEXES if getattr(after, name) is before[name]}
    assert kept == set(INDEXES) - {"members_by_service", "members_by_endpoint"}
    assert after.members_by_service[ids.ServiceId("web")][0].weight == 9
    assert TOWN.members_by_service[ids.ServiceId("web")][0].weight == 1


def test_a_changed_network_reorders_the_endpoints_of_its_sandboxes() -> None:
    assert TOWN.endpoints_by_sandbox
    after = TOWN.apply(ids.Revision(2), [Put(states.net("front", 2))])
    assert after.endpoints_by_sandbox is not TOWN.endpoints_by_sandbox


def test_an_index_is_amended_to_what_it_would_be_made_anew() -> None:
    before = {name: getattr(TOWN, name) for name in INDEXES}
    changes = (
        Put(states.plug("web2", "front", "10.0.1.2/24")),
        Put(states.member("web", "web1", "front", weight=3)),
        Gone(endpoint.Endpoint, states.plug("web1", "front", "10.0.1.1/24").id),
        Put(states.svc("api", "front", "10.0.1.101")),
    )
    for change in changes:
        amended = TOWN.apply(ids.Revision(2), [change])
        anew = ClusterState().apply(
            ids.Revision(2),
            [
                Put(each)
                for name in state.TABLES.values()
                for each in getattr(amended, name).values()
            ],
        )
        assert not any(name in anew.__dict__ for name in INDEXES)
        for name in INDEXES:
            assert getattr(amended, name) == getattr(anew, name)
    assert {name: getattr(TOWN, name) for name in INDEXES} == before


def test_groups_are_made_beforehand_but_those_that_a_damaged_store_cannot_have() -> None:
    values = [each for name in state.TABLES.values() for each in getattr(TOWN, name).values()]
    ready = ClusterState().apply(ids.Revision(1), map(Put, values)).indexed()
    assert vars(ready).keys() >= state.GROUPINGS.keys()
    lost = [states.plug("web1", net, "10.0.1.1/24") for net in ("front", "back")]
    damaged = ClusterState().apply(ids.Revision(1), map(Put, lost)).indexed()
    assert state.GROUPINGS.keys() - vars(damaged).keys() == {"endpoints_by_sandbox"}

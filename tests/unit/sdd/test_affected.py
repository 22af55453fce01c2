"""What a step between two states reaches."""

from dataclasses import replace

import pytest

from sdd import affected
from sdd.model import endpoint, health, ids, sandbox, service
from sdd.state import Change, Gone, Put
from tests.unit.lb import states

WEB, API = states.plug("web1", "front", "10.0.1.1/24"), states.plug("api1", "front", "10.0.1.2/24")
MEMBER = states.member("web", "web1", "front")
TOWN = states.state(
    states.net("front", 1),
    states.box("web1"),
    states.box("api1"),
    WEB,
    API,
    states.svc("web", "front", "10.0.1.100"),
    states.svc("api", "front", "10.0.1.101"),
    MEMBER,
    states.member("api", "api1", "front"),
)
VERDICT = health.Verdict(service=ids.ServiceId("web"), endpoint=WEB.id, status=health.Status.DOWN)


@pytest.mark.parametrize(
    ("change", "services", "endpoints"),
    [
        (Put(states.net("front", 2)), set(), set()),
        (Put(states.member("web", "web1", "front", weight=9)), {"web"}, set()),
        (Gone(service.Member, (MEMBER.service, MEMBER.endpoint)), {"web"}, set()),
        (Put(VERDICT), {"web"}, set()),
        (Put(states.svc("api", "front", "10.0.1.109")), {"api"}, set()),
        (Put(replace(states.box("web1"), hostname="www")), {"web"}, {WEB.id}),
        (Put(states.box("web1")), set(), set()),  # written again, as a guard
        (Put(states.plug("api1", "front", "10.0.1.3/24")), {"api"}, {API.id}),
        (Gone(endpoint.Endpoint, WEB.id), {"web"}, {WEB.id}),
        (Gone(sandbox.Sandbox, ids.SandboxId("none")), set(), set()),
        (Gone(service.Service, ids.ServiceId("api")), {"api"}, set()),
    ],
)
def test_a_change_reaches_what_leans_on_it(
    change: Change, services: set[str], endpoints: set[str]
) -> None:
    found = affected.between(TOWN, TOWN.apply(ids.Revision(2), [change]))
    assert found.services == services
    assert found.endpoints == endpoints


def test_the_same_state_reaches_nothing() -> None:
    assert affected.between(TOWN, TOWN) == affected.Affected(
        services=frozenset(), endpoints=frozenset(), records=frozenset()
    )


def test_keys_that_differ_come_in_the_order_they_have() -> None:
    one, two, three = object(), object(), object()
    before = {"c": one, "b": two, "a": three}
    after = {"c": two, "d": one, "b": two, "e": one}
    assert list(affected.differing(before, after)) == ["c", "d", "e"]
    assert affected.changed(before, after) == {"a", "c", "d", "e"}

"""Health that the store refuses is told until it takes it."""

import pytest

from sdd import errors
from sdd.control.unstored import Unstored
from sdd.model import health, ids
from sdd.model.progress import Backend, Outcome
from sdd.state import ClusterState
from tests.unit.lb import states

TOWN = (
    states.net("front", 1),
    states.box("web1"),
    states.plug("web1", "front", "10.0.1.1/24"),
    states.svc("web", "front", "10.0.1.100"),
    states.member("web", "web1", "front"),
)
DOWN = health.Said(health.Status.DOWN, "refused")


def _reached() -> dict[Backend, Outcome]:
    return {Backend.LB: Outcome(revision=ids.Revision(1))}


async def test_what_is_refused_is_a_failure_of_the_balancer_until_it_is_stored() -> None:
    full = True

    async def record(of: ids.ServiceId, end: ids.EndpointId, said: health.Said) -> None:
        del of, end, said
        if full:
            raise errors.Unavailable("the disk is full", hint="make room", code="SDD-STORE-FULL")

    state = states.state(*TOWN)
    words = Unstored(record, lambda: state)
    ((of, end),) = state.members
    seen = words.progress(_reached)
    assert seen()[Backend.LB].failures == ()
    for _ in range(2):
        with pytest.raises(errors.Unavailable):
            await words.record(of, end, DOWN)
    (failure,) = seen()[Backend.LB].failures
    assert failure.sentence == "that web1 is down for web cannot be stored: the disk is full"
    assert (failure.subject, failure.code) == (end, "SDD-STORE-FULL")
    full = False
    await words.record(of, end, DOWN)
    assert seen()[Backend.LB].failures == ()


async def test_members_that_went_are_told_of_no_more() -> None:
    async def record(of: ids.ServiceId, end: ids.EndpointId, said: health.Said) -> None:
        raise errors.Unavailable(f"{of} {end} {said.status}")

    state = states.state(*TOWN)
    words = Unstored(record, lambda: state)
    with pytest.raises(errors.Unavailable):
        await words.record(*next(iter(state.members)), DOWN)
    state = ClusterState()
    assert words.progress(_reached)()[Backend.LB].failures == ()

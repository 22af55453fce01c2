"""State, service, time → how much of its weight each member gets: slow start. Pure."""

from collections.abc import Mapping

from sdd import ways
from sdd.model import ids, ramp, service
from sdd.model.health import Status
from sdd.model.serving import Mode
from sdd.state import ClusterState


def of(state: ClusterState, svc: service.Service, now: float) -> Mapping[ids.EndpointId, int]:
    """In tenths, at `now` (seconds since the epoch).

    All of it without slow start, and while no check is believed in some way: who serves then though
    it is down has not turned up, and would get more than those that have.
    """
    is_slow = svc.slow_start_s and all(
        each.mode is not Mode.ALL for each in ways.of(state, svc).values()
    )
    return {
        each.endpoint: ramp.step(svc.slow_start_s, state.up_since(each), now)
        if is_slow and state.status_of(each) is Status.UP
        else ramp.STEPS
        for each in state.members_by_service.get(svc.id, ())
    }

"""State, time → the state as it is to be balanced at that moment. Pure.

The one place where time enters what balances: members of services with slow start get the weights
that `sdd.model.ramp` gives them now. Whatever derives tables from a state knows nothing of it, and
a state without such a service comes back as it is.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sdd import steps as tenths
from sdd.model import ramp, service
from sdd.state import ClusterState, Put


@dataclass(frozen=True, slots=True)
class Moment:
    """`state` as of now; `again_s` seconds later it is another one (inf: not by itself)."""

    state: ClusterState
    again_s: float = math.inf


def at(state: ClusterState, now: float) -> Moment:
    """The moment `now`, in seconds since the epoch."""
    if not state.slow_starters:
        return Moment(state)
    changes: list[Put] = []
    again_s = math.inf
    for svc in state.slow_starters:
        members = state.members_by_service.get(svc.id, ())
        found = tenths.of(state, svc, now)
        steps = [found[each.endpoint] for each in members]
        changes += _weighed(members, steps)
        again_s = min(
            again_s,
            *(
                ramp.next_s(svc.slow_start_s, state.up_since(each), now)
                for each, step in zip(members, steps, strict=True)
                if step < ramp.STEPS
            ),
            math.inf,
        )
    return Moment(state.apply(state.revision, changes), again_s)


def _weighed(members: Sequence[service.Member], steps: Sequence[int]) -> Iterator[Put]:
    shares = [(each.weight, step) for each, step in zip(members, steps, strict=True)]
    for member, weight in zip(members, ramp.weights(shares), strict=True):
        if weight != member.weight:
            yield Put(_weighing(member, weight))


@functools.lru_cache(maxsize=1 << 16)
def _weighing(member: service.Member, weight: int) -> service.Member:
    """The same object each time: what is derived anew from another one costs more than this."""
    return replace(member, weight=weight)

"""Health verdicts: written on transitions only, so that a quiet service writes nothing.

In: what probes concluded and the Ground. Out: a plan, or None when there is nothing to write.
"""

from collections.abc import Mapping

from sdd.control.ground import Draft, Ground, Plan
from sdd.model import health
from sdd.state import MemberKey

Verdicts = tuple[health.Verdict, ...]


def record(ground: Ground, told: Mapping[MemberKey, health.Said]) -> Plan[Verdicts] | None:
    """The transitions; None when there are none. Members that are gone are passed over."""
    draft = Draft(ground)
    found = tuple(
        each for key, said in told.items() if (each := _turned(ground, key, said)) is not None
    )
    for each in found:
        draft.hold(ground.now.members[each.service, each.endpoint])
        draft.put(each)
    ends = (end for each in found for end in (each.service, each.endpoint))
    return draft.plan(found, frozenset(ends)) if found else None


def _turned(ground: Ground, key: MemberKey, said: health.Said) -> health.Verdict | None:
    """The verdict on a member; None when the status is the same or the member is gone."""
    old = ground.now.verdicts.get(key)
    is_same = old is not None and old.status is said.status
    if key not in ground.now.members or (old and is_same and old.said.ways == said.ways):
        return None
    return health.Verdict(
        service=key[0],
        endpoint=key[1],
        status=said.status,
        since=old.since if old and is_same else ground.at,
        reason=said.reason,
        failing=said.failing,
        ingress_failing=said.ingress_failing,
        answered=said.answered,
        ingress_answered=said.ingress_answered,
    )

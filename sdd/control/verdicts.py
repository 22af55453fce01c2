"""Health verdicts: written on transitions only, so that a quiet service writes nothing.

In: what a probe concluded and the Ground. Out: a plan, or None when there is nothing to write.
"""

from sdd.control.ground import Draft, Ground, Plan
from sdd.model import health, ids


def record(
    ground: Ground, of: ids.ServiceId, end: ids.EndpointId, said: health.Said
) -> Plan[health.Verdict] | None:
    """The transition; None when the status is the same or the member is gone."""
    member = ground.now.members.get((of, end))
    old = ground.now.verdicts.get((of, end))
    is_same = old is not None and old.status is said.status
    if member is None or (old and is_same and old.said.ways == said.ways):
        return None
    verdict = health.Verdict(
        service=of,
        endpoint=end,
        status=said.status,
        since=old.since if old and is_same else ground.at,
        reason=said.reason,
        failing=said.failing,
        ingress_failing=said.ingress_failing,
        answered=said.answered,
        ingress_answered=said.ingress_answered,
    )
    draft = Draft(ground)
    draft.hold(member)
    draft.put(verdict)
    return draft.plan(verdict, {of, end})

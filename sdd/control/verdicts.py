"""Health verdicts: written on transitions only, so that a quiet service writes nothing.

In: what a probe concluded and the Ground. Out: a plan, or None when there is nothing to write.
"""

from sdd.control.ground import Draft, Ground, Plan
from sdd.model import health, ids


def record(
    ground: Ground, of: ids.ServiceId, end: ids.EndpointId, status: health.Status, reason: str
) -> Plan[health.Verdict] | None:
    """The transition; None when the status is the same or the member is gone."""
    member = ground.now.members.get((of, end))
    old = ground.now.verdicts.get((of, end))
    if member is None or (old and old.status is status):
        return None
    verdict = health.Verdict(
        service=of, endpoint=end, status=status, since=ground.at, reason=reason
    )
    draft = Draft(ground)
    draft.hold(member)
    draft.put(verdict)
    return draft.plan(verdict, {of, end})

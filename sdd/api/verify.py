"""/v1/verify: what is not as it should be, found by looking."""

from typing import Any

from sdd import errors
from sdd.api import subjects
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.model.difference import Difference
from sdd.state import ClusterState


async def listing(context: Context, _call: Call) -> Reply:
    """The differences between the state and the kernel; an empty list when there are none."""
    if context.verify is None:
        raise errors.Unavailable("this daemon cannot verify", code="SDD-VERIFY-OFF")
    found = await context.verify()
    state = context.state()
    return Reply(value=[_row(state, each) for each in found])


def _row(state: ClusterState, one: Difference) -> dict[str, Any]:
    kind, name = subjects.named(state, one.subject)
    return {
        "Backend": one.backend.value,
        "Kind": kind,
        "Name": name,
        "Subject": one.subject,
        "Difference": one.says,
    }

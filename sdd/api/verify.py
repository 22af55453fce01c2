"""/v1/verify: what is not as it should be, found by looking."""

from typing import Any

from sdd import errors
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
    kind, name = named(state, one.subject)
    return {
        "Backend": one.backend.value,
        "Kind": kind,
        "Name": name,
        "Subject": one.subject,
        "Difference": one.says,
    }


def named(state: ClusterState, subject: str) -> tuple[str, str]:
    """Kind and name of an object by its id; an endpoint is called by its sandbox and network."""
    tables: dict[str, Any] = {
        "network": state.networks,
        "sandbox": state.sandboxes,
        "service": state.services,
    }
    for kind, table in tables.items():
        if subject in table:
            return kind, table[subject].name
    for at in state.endpoints.values():
        if at.id == subject:
            where = state.networks[at.network].name
            return "endpoint", f"{state.sandboxes[at.sandbox].name} on {where}"
    return ("host", "") if not subject else ("", subject)

"""What objects are called where something is said of them: a failure, a difference.

In: a state and an id. Out: words.
"""

from typing import Any

from sdd.model import progress
from sdd.state import ClusterState


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
    if subject in ("", progress.EVERYTHING):
        return "host", ""
    return "", subject

"""Who is a member of what, in the names that people gave them.

In: a state, the key of a membership. Out: names as far as they are known, else ids. Pure.
"""

from sdd.state import ClusterState, MemberKey


def who(state: ClusterState, key: MemberKey) -> dict[str, str]:
    """`service` and `member`, as fields of a log line."""
    svc, end = state.services.get(key[0]), state.endpoints.get(key[1])
    box = state.sandboxes.get(end.sandbox) if end else None
    return {
        "service": svc.name if svc else key[0],
        "member": box.name if box else key[1],
    }

"""ClusterState, node → the checks of all members that the node checks. Pure.

Given what was derived before, only what changed is derived anew, and what did not change is the
same object: a verdict changes no check, however many there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lb import checks
from lb.checks import Check, Gate
from sdd import lineage
from sdd.affected import changed
from sdd.model import ids
from sdd.state import EMPTY, ClusterState, MemberKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `node` checks at `state`; the mapping knows its changes (`sdd.lineage`)."""

    state: ClusterState
    node: ids.NodeId
    gate: Gate | None = None
    checks: Mapping[MemberKey, Check] = field(default_factory=lambda: lineage.Version({}))


def nothing(node: ids.NodeId) -> Checked:
    """What is derived from no state."""
    return Checked(state=EMPTY, node=node)


def checked(state: ClusterState, before: Checked) -> Checked:
    """What `before`'s node checks at `state`."""
    gate = checks.gate(state, before.node)
    # All members are asked through the gate, from wherever that is.
    if gate != before.gate or state.ingress is not before.state.ingress:
        touched = state.members.keys() | before.checks.keys()
    else:
        touched = _touched(before.state, state)
    now = {key: checks.check(state, key, before.node, gate) for key in touched}
    other = {key: each for key, each in now.items() if each != before.checks.get(key)}
    found = lineage.successor(before.checks, other) if other else before.checks
    return replace(before, state=state, gate=gate, checks=found)


def _touched(before: ClusterState, after: ClusterState) -> set[MemberKey]:
    """The members whose check may be another now, also those that came or went."""
    services = changed(before.services, after.services)
    for net in changed(before.networks, after.networks):
        services.update(each.id for each in after.services_by_network.get(net, ()))
    ends = changed(before.endpoints, after.endpoints)
    boxes = changed(before.sandboxes, after.sandboxes)
    # An endpoint on ingress is in the checks of the sandbox's other ones.
    those = (each.get(end) for end in ends for each in (before.endpoints, after.endpoints))
    boxes.update(each.sandbox for each in those if each is not None)
    for box in boxes:
        ends.update(each.id for each in after.endpoints_by_sandbox.get(box, ()))
    found = changed(before.members, after.members)
    for of in services:
        found.update((of, each.endpoint) for each in after.members_by_service.get(of, ()))
    for end in ends:
        found.update((each.service, end) for each in after.members_by_endpoint.get(end, ()))
    return found

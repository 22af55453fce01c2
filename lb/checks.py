"""ClusterState, node → which members this node checks, and how. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sdd.model import health, ids
from sdd.model.service import CheckKind, HealthCheck
from sdd.state import ClusterState, MemberKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One member's check. `joined` makes a member that left and came back a new one."""

    service: ids.ServiceId
    endpoint: ids.EndpointId
    address: IPv4Address | IPv6Address
    how: HealthCheck
    joined: float


def checks(state: ClusterState, node: ids.NodeId) -> Mapping[MemberKey, Check]:
    """The checks of all members that run on `node`; its own address is what is dialled."""
    return {
        key: Check(
            service=member.service,
            endpoint=member.endpoint,
            address=endpoint.hosts[0],
            how=how,
            joined=member.created,
        )
        for key, member in state.members.items()
        if member.node == node
        and (how := state.services[member.service].health).kind is not CheckKind.NONE
        and (endpoint := state.endpoints.get(member.endpoint)) is not None
        and endpoint.hosts
    }


def status(state: ClusterState, key: MemberKey) -> health.Status:
    """What the store says of the member now."""
    verdict = state.verdicts.get(key)
    return verdict.status if verdict is not None else health.Status.STARTING

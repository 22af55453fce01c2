"""ClusterState, node → which members this node checks, and how. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sdd.model import endpoint as endpoints
from sdd.model import health, ids, reach
from sdd.model.network import Driver
from sdd.model.service import CheckKind, HealthCheck
from sdd.state import ClusterState, MemberKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One member's check.

    `inside` is the namespace to check from: the member's own where the host cannot reach it and
    for commands, or "" for the host's. `link` is the host's end of the member's cable, "" when it
    has none; `joined` makes a member that left and came back a new one. `known_by` are all
    addresses at which clients meet the member: signs are about one of them.
    """

    service: ids.ServiceId
    endpoint: ids.EndpointId
    address: IPv4Address | IPv6Address
    how: HealthCheck
    link: str = ""
    joined: float
    inside: str = ""
    known_by: frozenset[IPv4Address | IPv6Address] = frozenset()


def checks(state: ClusterState, node: ids.NodeId) -> Mapping[MemberKey, Check]:
    """The checks of all members that run on `node`; its own address is what is dialled."""
    return {
        (member.service, member.endpoint): Check(
            service=member.service,
            endpoint=member.endpoint,
            address=endpoint.hosts[0],
            how=how,
            link=_link(state, endpoint),
            joined=member.created,
            inside=_inside(state, endpoint, how),
            known_by=_known_by(state, endpoint),
        )
        for box in state.sandboxes_by_node.get(node, ())
        for endpoint in state.endpoints_by_sandbox.get(box.id, ())
        for member in state.members_by_endpoint.get(endpoint.id, ())
        if member.node == node
        and (how := state.services[member.service].health).kind is not CheckKind.NONE
        and endpoint.hosts
    }


def _known_by(state: ClusterState, of: endpoints.Endpoint) -> frozenset[IPv4Address | IPv6Address]:
    on_ingress = state.on_ingress(of.sandbox)
    return frozenset((*of.hosts, *(on_ingress.hosts if on_ingress else ())))


def _inside(state: ClusterState, of: endpoints.Endpoint, how: HealthCheck) -> str:
    if how.kind is not CheckKind.EXEC and reach.is_on_host(state.networks[of.network]):
        return ""
    return state.sandboxes[of.sandbox].netns


def _link(state: ClusterState, of: endpoints.Endpoint) -> str:
    return of.host_link if state.networks[of.network].driver is Driver.BRIDGE else ""


def status(state: ClusterState, key: MemberKey) -> health.Status:
    """What the store says of the member now."""
    verdict = state.verdicts.get(key)
    return verdict.status if verdict is not None else health.Status.STARTING

"""ClusterState, node → which members this node checks, and how. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from sdd.model import endpoint as endpoints
from sdd.model import health, ids, reach
from sdd.model.network import Driver
from sdd.model.sandbox import Sandbox
from sdd.model.service import CheckKind, HealthCheck, Member
from sdd.state import ClusterState, MemberKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The node's ingress sandbox, from which members are checked as clients reach them.

    It asks over `link` from one of `outside`, its addresses towards the host: to a member these are
    strangers as clients are, whose answers need the way back over the same link.
    """

    netns: str
    link: str
    outside: tuple[IPv4Address | IPv6Address, ...]

    def source(self, version: int) -> IPv4Address | IPv6Address | None:
        """The address to ask from, None if there is none of this IP version."""
        return next((each for each in self.outside if each.version == version), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One member's check.

    `inside` is the namespace to check from: the member's own where the host cannot reach it and
    for commands, or "" for the host's. `link` is the host's end of the member's cable, "" when it
    has none; `joined` makes a member that left and came back a new one. `known_by` are all
    addresses at which clients meet the member: signs are about one of them.

    Checked as well: `also`, its address of the other IP version, and those `on_ingress`, from the
    node's ingress sandbox (`gate`), the way that packets to published ports come. `is_ingress`
    tells that this is a check of one of the latter. `home` is the member's own namespace.
    """

    service: ids.ServiceId
    endpoint: ids.EndpointId
    address: IPv4Address | IPv6Address
    how: HealthCheck
    link: str = ""
    joined: float
    inside: str = ""
    known_by: frozenset[IPv4Address | IPv6Address] = frozenset()
    also: tuple[IPv4Address | IPv6Address, ...] = ()
    on_ingress: tuple[IPv4Address | IPv6Address, ...] = ()
    gate: Gate | None = None
    is_ingress: bool = False
    home: str = ""

    def asks_like(self, other: "Check") -> bool:
        """Whether it asks the same of the same program: what was heard holds for both."""
        mine, its = self.how, other.how
        return (mine.kind, mine.port, mine.send, self.home, self.joined) == (
            its.kind,
            its.port,
            its.send,
            other.home,
            other.joined,
        )

    @property
    def is_at_home(self) -> bool:
        """Whether it is made in the member's own namespace."""
        return bool(self.inside) and self.inside == self.home

    @property
    def each(self) -> tuple["Check", ...]:
        """One check per address."""
        alone = replace(self, also=(), on_ingress=())
        inside = self.gate.netns if self.gate is not None else ""
        return (
            alone,
            *(replace(alone, address=one) for one in self.also),
            *(
                replace(alone, address=one, inside=inside, is_ingress=True)
                for one in self.on_ingress
            ),
        )


def checks(state: ClusterState, node: ids.NodeId) -> Mapping[MemberKey, Check]:
    """The checks of all members that run on `node`."""
    gate = next((_gate(state, box) for box in state.ingress_sandboxes if box.node == node), None)

    def led(member: Member, how: HealthCheck) -> tuple[IPv4Address | IPv6Address, ...]:
        return _on_ingress(state, member, how) if gate is not None else ()

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
            also=_also(endpoint, how),
            on_ingress=(on_ingress := led(member, how)),
            # Else the node's first port on ingress would begin all checks anew.
            gate=gate if on_ingress else None,
            home=box.netns,
        )
        for box in state.sandboxes_by_node.get(node, ())
        for endpoint in state.endpoints_by_sandbox.get(box.id, ())
        for member in state.members_by_endpoint.get(endpoint.id, ())
        if member.node == node
        and (how := state.services[member.service].health).kind is not CheckKind.NONE
        and endpoint.hosts
    }


_UNDIALLED = (CheckKind.EXEC, CheckKind.TTL)  # a command and a report are about the member itself


def _gate(state: ClusterState, box: Sandbox) -> Gate:
    here = state.on_ingress(box.id)
    plugs = state.endpoints_by_sandbox.get(box.id, ())
    return Gate(
        netns=box.netns,
        link=here.ifname if here is not None else "",
        outside=tuple(host for each in plugs if each is not here for host in each.hosts),
    )


def _on_ingress(
    state: ClusterState, member: Member, how: HealthCheck
) -> tuple[IPv4Address | IPv6Address, ...]:
    """Where published ports of its service lead."""
    end = state.on_ingress(member.sandbox)
    is_used = bool(state.services[member.service].ingress_vips) and how.kind not in _UNDIALLED
    return end.hosts if end is not None and is_used else ()


def _also(of: endpoints.Endpoint, how: HealthCheck) -> tuple[IPv4Address | IPv6Address, ...]:
    if how.kind in _UNDIALLED:
        return ()
    others = {each.version: each for each in of.hosts if each.version != of.hosts[0].version}
    return tuple(others.values())


def _known_by(state: ClusterState, of: endpoints.Endpoint) -> frozenset[IPv4Address | IPv6Address]:
    on_ingress = state.on_ingress(of.sandbox)
    return frozenset((*of.hosts, *(on_ingress.hosts if on_ingress else ())))


def _inside(state: ClusterState, of: endpoints.Endpoint, how: HealthCheck) -> str:
    if how.kind is not CheckKind.EXEC and reach.is_on_host(state.networks[of.network]):
        return ""
    return state.sandboxes[of.sandbox].netns


def _link(state: ClusterState, of: endpoints.Endpoint) -> str:
    return of.host_link if state.networks[of.network].driver is Driver.BRIDGE else ""


def unheard(state: ClusterState, node: ids.NodeId) -> frozenset[str]:
    """The namespaces of `node`'s checked members whose packets pass no bridge of the host."""
    return frozenset(
        state.sandboxes[member.sandbox].netns
        for one in state.services.values()
        if one.health.kind not in _UNSIGNED and state.networks[one.network].driver in _CHILDREN
        for member in state.members_by_service.get(one.id, ())
        if member.node == node
    )


_UNSIGNED = (CheckKind.NONE, CheckKind.TTL)  # a sign brings no check of these forward
_CHILDREN = (Driver.MACVLAN, Driver.IPVLAN)


def said(state: ClusterState, key: MemberKey) -> health.Said:
    """What the store says of the member now."""
    verdict = state.verdicts.get(key)
    if verdict is None:
        return health.Said(health.Status.STARTING, "")
    return verdict.said

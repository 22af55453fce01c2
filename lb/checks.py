"""ClusterState, node → whether this node checks a member, and how. Pure."""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from sdd.model import endpoint as endpoints
from sdd.model import health, ids, reach
from sdd.model.network import Driver
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


def check(state: ClusterState, key: MemberKey, node: ids.NodeId, gate: Gate | None) -> Check | None:
    """How `node` checks the member, `gate` being its own; None if it does not, or it is gone."""
    member, one = state.members.get(key), state.services.get(key[0])
    end = state.endpoints.get(key[1])
    box = state.sandboxes.get(end.sandbox) if end is not None else None
    if member is None or one is None or end is None or box is None:
        return None
    if not member.node == box.node == node or not end.hosts or one.health.kind is CheckKind.NONE:
        return None
    on_ingress = _on_ingress(state, member, one.health) if gate is not None else ()
    return Check(
        service=member.service,
        endpoint=member.endpoint,
        address=end.hosts[0],
        how=one.health,
        link=_link(state, end),
        joined=member.created,
        inside=_inside(state, end, one.health),
        known_by=_known_by(state, end),
        also=_also(end, one.health),
        on_ingress=on_ingress,
        # Else the node's first port on ingress would begin all checks anew.
        gate=gate if on_ingress else None,
        home=box.netns,
    )


_UNDIALLED = (CheckKind.EXEC, CheckKind.TTL)  # a command and a report are about the member itself


def gate(state: ClusterState, node: ids.NodeId) -> Gate | None:
    """From where `node` checks on ingress; None as long as it has no ingress sandbox."""
    box = next((each for each in state.ingress_sandboxes if each.node == node), None)
    if box is None:
        return None
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

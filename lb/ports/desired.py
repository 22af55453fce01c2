"""ClusterState, node → what each published port of that node leads to.

A sandbox's port leads to its endpoint on the first network, in gateway order, that lets ports in;
a service's to its healthy members, or by way of the ingress sandbox. Given what was derived before,
only what changed is derived anew, and what did not change is the same object.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lb import plan, table
from lb.ports.behind import Behind
from lb.ports.table import Bind, Entry
from sdd import affected, contained
from sdd.model import endpoint, ids, port, progress, reach, sandbox, service
from sdd.model.address import check_stored
from sdd.model.network import IPAddress
from sdd.model.ways import Ways
from sdd.state import EMPTY, ClusterState

_VERSIONS = (4, 6)
Entries = tuple[Entry, ...]
Publisher = sandbox.Sandbox | service.Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """The entries of each sandbox or service of `node` that publishes something, by its id.

    `refused` are those of which none can be made.
    """

    state: ClusterState
    node: ids.NodeId
    parts: Mapping[str, Entries]
    refused: Mapping[str, progress.Failure] = field(default_factory=dict)


def nothing(node: ids.NodeId) -> Want:
    """What is derived from no state."""
    return Want(state=EMPTY, node=node, parts=MappingProxyType({}))


def desired(state: ClusterState, before: Want) -> Want:
    """What `state` asks of `before`'s node."""
    if not state.publishers:
        return Want(state=state, node=before.node, parts=MappingProxyType({}))
    stale = _Stale(before.state, state)
    parts: dict[str, Entries] = {}
    refused: dict[str, progress.Failure] = {}
    for each in state.publishers:
        known = before.parts.get(each.id)
        if isinstance(each, sandbox.Sandbox):
            is_stale = each.id in stale.boxes
        else:
            is_stale = stale.concerns(state, each)
        if known is not None and not is_stale:
            parts[each.id] = known
            continue
        made = contained.attempt(
            functools.partial(_checked, state, each, before.node),
            each.id,
            f"the ports of {each.name!r} are not published",
        )
        if isinstance(made, progress.Failure):
            refused[each.id] = made  # not among the parts: tried again at each revision
        else:
            parts[each.id] = made
    return Want(state=state, node=before.node, parts=MappingProxyType(parts), refused=refused)


def _checked(state: ClusterState, publisher: Publisher, node: ids.NodeId) -> Entries:
    if isinstance(publisher, service.Service) or publisher.node == node:
        check_stored(*(each.address for each in publisher.ports))
    return of(state, publisher, node)


def of(state: ClusterState, publisher: Publisher, node: ids.NodeId) -> Entries:
    """The entries of one sandbox (none on other nodes) or service."""
    if isinstance(publisher, service.Service):
        return tuple(_of_service(state, publisher, node))
    return tuple(_of_sandbox(state, publisher)) if publisher.node == node else ()


class _Stale:
    """The sandboxes and services of which something changed between two states."""

    def __init__(self, before: ClusterState, after: ClusterState) -> None:
        plugs = affected.changed(before.endpoints, after.endpoints)
        ends = (each.get(plug) for plug in plugs for each in (before.endpoints, after.endpoints))
        self.boxes = affected.changed(before.sandboxes, after.sandboxes)
        self.boxes |= {end.sandbox for end in ends if end is not None}
        self.services = affected.changed(before.services, after.services)
        self.services |= {of for of, _ in affected.changed(before.members, after.members)}
        self.services |= {of for of, _ in affected.changed(before.verdicts, after.verdicts)}

    def concerns(self, state: ClusterState, svc: service.Service) -> bool:
        members = state.members_by_service.get(svc.id, ())
        return svc.id in self.services or any(each.sandbox in self.boxes for each in members)


# --- sandboxes -----------------------------------------------------------------------------------


def _of_sandbox(state: ClusterState, box: sandbox.Sandbox) -> Iterator[Entry]:
    ends = state.endpoints_by_sandbox.get(box.id, ())
    first = {
        version: found
        for version in _VERSIONS
        if (found := _first_behind(state, ends, version)) is not None
    }

    @functools.cache
    def behind(version: int, policy: port.Policy) -> Behind:
        return _behind(state, version, policy, [(first[version], 1)] if version in first else [])

    for each in box.ports:
        for bind in _binds(each, first):
            yield behind(bind.version, each.policy).entry(bind, box.id, each.target)


def _first_behind(
    state: ClusterState, ends: Iterable[endpoint.Endpoint], version: int
) -> endpoint.Endpoint | None:
    """The first endpoint whose network lets ports in."""
    return next(
        (
            end
            for end in ends
            if version in reach.published(state.networks[end.network])
            and _address(end, version) is not None
        ),
        None,
    )


# --- services ------------------------------------------------------------------------------------


def _of_service(state: ClusterState, svc: service.Service, node: ids.NodeId) -> Iterator[Entry]:
    """What is behind is the same for all ports of one policy and IP version: found out once."""
    versions = reach.published(state.networks[svc.network])
    members = state.serving(svc).members
    ways = Ways(svc.ports)
    vips: dict[int, IPAddress] = {vip.version: vip for vip in svc.ingress_vips}

    @functools.cache
    def through(version: int, policy: port.Policy) -> Behind:
        return _through(state, svc, vips.get(version), policy)

    @functools.cache
    def straight(version: int, policy: port.Policy, is_local: bool) -> Behind:
        ends = [
            (state.answering(member, end), member.share)
            for member in members
            if (not is_local or member.node == node)
            and (end := state.endpoints.get(member.endpoint)) is not None
        ]
        return _behind(state, version, policy, ends)

    for each in svc.ports:
        if not each.is_wide and ways.is_beside(each):
            continue  # what it asks for, the wide one does
        # Nobody asked for it at 127.0.0.1; at ::1 no port answers anyway.
        is_outward = each.is_wide and not each.is_on_loopback and not ways.is_beside(each)
        if each.is_ingress and vips:
            for bind in _binds(each, vips):
                found = through(bind.version, each.policy)
                yield found.entry(bind, svc.id, each.target, is_outward=is_outward)
            continue
        is_local = each.mode is port.Mode.HOST or each.policy is port.Policy.LOCAL
        for bind in _binds(each, versions):
            found = straight(bind.version, each.policy, is_local)
            yield found.entry(
                bind,
                svc.id,
                each.target,
                scheduler=svc.scheduler,
                persistence_s=svc.persistence_s,
                is_outward=is_outward,
            )


def _through(
    state: ClusterState, svc: service.Service, vip: IPAddress | None, policy: port.Policy
) -> Behind:
    """To the service's virtual address on ingress; who is behind is the ingress sandbox's to know.

    A member would take a packet that says it comes from itself for a forgery.
    """
    if vip is None:
        return Behind()
    sources = _members_addresses(state, svc)
    return Behind(
        backends=(table.Backend(address=vip),),
        masked=frozenset({vip} if policy is port.Policy.SNAT else ()),
        strange=frozenset(one for one in sources if one.version == vip.version),
        devices=frozenset(
            net.device for net in state.networks.values() if net.is_closed and not net.is_ingress
        ),
    )


def _members_addresses(state: ClusterState, svc: service.Service) -> frozenset[IPAddress]:
    return frozenset(
        address
        for member in state.members_by_service.get(svc.id, ())
        for end in state.endpoints_by_sandbox.get(member.sandbox, ())
        for address in end.hosts
    )


# --- both ----------------------------------------------------------------------------------------


def _binds(each: port.Port, versions: Iterable[int]) -> Iterator[Bind]:
    """One per IP version that is served; without any the port is bound all the same.

    A port without a number of the node is the fence's business alone (netns.desired).
    """
    if not each.published:
        return
    wanted = each.address
    served = [
        version
        for version in _VERSIONS
        if version in versions and (wanted is None or wanted.version == version)
    ]
    address = None if wanted is None or wanted.is_unspecified else wanted
    for version in served or [wanted.version if wanted else _VERSIONS[0]]:
        yield Bind(version=version, protocol=each.protocol, number=each.published, address=address)


def _behind(
    state: ClusterState,
    version: int,
    policy: port.Policy,
    ends: Iterable[tuple[endpoint.Endpoint, int]],
) -> Behind:
    """Those of `ends` (each with its weight) that have that IP version."""
    found = [
        (end, address, weight)
        for end, weight in ends
        if (address := _address(end, version)) is not None
    ]
    backends = [table.Backend(address=address, weight=weight) for _, address, weight in found]
    return Behind(
        backends=plan.ordered(backends),
        masked=frozenset(
            address
            for end, address, _ in found
            if policy is port.Policy.SNAT or not _is_way_back(state, end, version)
        ),
        devices=frozenset(state.networks[end.network].device for end, _, _ in found),
    )


def _address(end: endpoint.Endpoint, version: int) -> IPAddress | None:
    return next((each for each in end.hosts if each.version == version), None)


def _is_way_back(state: ClusterState, end: endpoint.Endpoint, version: int) -> bool:
    """Whether the sandbox answers strangers over this endpoint: it has its default route."""
    for each in state.endpoints_by_sandbox.get(end.sandbox, ()):
        if reach.is_way_out(state.networks[each.network], each, version):
            return each.id == end.id
    return False

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
from lb.ports.made import VERSIONS, Kind, Made, Places, binds, made
from lb.ports.table import Entry
from sdd import affected, contained
from sdd.model import endpoint, ids, port, progress, reach, sandbox, service
from sdd.model.address import check_stored
from sdd.model.network import IPAddress
from sdd.state import EMPTY, ClusterState

Entries = tuple[Entry, ...]
Publisher = sandbox.Sandbox | service.Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """The entries of each sandbox or service of `node` that publishes something, by its id.

    `refused` are those of which none can be made; `made` is how those of services came about.
    """

    state: ClusterState
    node: ids.NodeId
    parts: Mapping[str, Entries]
    made: Mapping[str, Made] = field(default_factory=dict)
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
    kept: dict[str, Made] = {}
    refused: dict[str, progress.Failure] = {}
    for each in state.publishers:
        known, was = before.parts.get(each.id), before.made.get(each.id)
        if isinstance(each, sandbox.Sandbox):
            is_stale = each.id in stale.boxes
        else:
            is_stale = stale.concerns(state, each)
        if known is not None and not is_stale:
            parts[each.id] = known
            if was is not None:
                kept[each.id] = was
            continue
        found = contained.attempt(
            functools.partial(_derived, state, each, before.node, was),
            each.id,
            f"the ports of {each.name!r} are not published",
        )
        if isinstance(found, progress.Failure):
            refused[each.id] = found  # not among the parts: tried again at each revision
        elif isinstance(found, Made):
            parts[each.id], kept[each.id] = found.entries, found
        else:
            parts[each.id] = found
    return Want(
        state=state, node=before.node, parts=MappingProxyType(parts), made=kept, refused=refused
    )


def _derived(
    state: ClusterState, publisher: Publisher, node: ids.NodeId, was: Made | None
) -> Made | Entries:
    if isinstance(publisher, service.Service):
        return _of_service(state, publisher, node, was)
    if publisher.node != node:
        return ()
    check_stored(*(each.address for each in publisher.ports))
    return tuple(_of_sandbox(state, publisher))


def of(state: ClusterState, publisher: Publisher, node: ids.NodeId) -> Entries:
    """The entries of one sandbox (none on other nodes) or service."""
    found = _derived(state, publisher, node, None)
    return found.entries if isinstance(found, Made) else found


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
        for version in VERSIONS
        if (found := _first_behind(state, ends, version)) is not None
    }

    @functools.cache
    def behind(version: int, policy: port.Policy) -> Behind:
        return _behind(state, version, policy, [(first[version], 1)] if version in first else [])

    for each in box.ports:
        for bind in binds(each, first):
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


def _of_service(
    state: ClusterState, svc: service.Service, node: ids.NodeId, was: Made | None
) -> Made:
    """What is behind is the same for all ports of one kind: found out once.

    Only of the kinds behind which others are than in `was` entries are made anew.
    """
    versions = reach.published(state.networks[svc.network])
    vips: dict[int, IPAddress] = {vip.version: vip for vip in svc.ingress_vips}
    places = Places(ports=svc.ports, versions=frozenset(versions), virtual=frozenset(vips))
    if was is None or was.places != places:
        check_stored(*(each.address for each in svc.ports))
    else:
        places = was.places

    @functools.cache
    def members(version: int) -> tuple[service.Member, ...]:
        return state.serving(svc, version).members

    def behind(kind: Kind) -> Behind:
        if kind.is_through:
            return _through(state, svc, vips.get(kind.version), kind.policy)
        ends = [
            (end, member.share)
            for member in members(kind.version)
            if (not kind.is_local or member.node == node)
            and (end := state.endpoints.get(member.endpoint)) is not None
        ]
        return _behind(state, kind.version, kind.policy, ends)

    return made(svc, places, {kind: behind(kind) for kind in places.kinds}, was)


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

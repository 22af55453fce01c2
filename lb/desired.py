"""ClusterState, node → what must balance in each sandbox of that node.

A sandbox balances the services of the networks it is on, in its own namespace: it is the client.
The ingress sandbox balances for those who come from outside, and members know the way back to it.
Backends are the healthy members, wherever they run. Services without virtual addresses (dnsrr) are
the resolver's business alone. Given what it derived before, only what changed is derived anew, and
what did not change is the same object: one verdict among thousands of services costs little.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from lb import plan, table, ways_back
from lb.back import Node
from sdd import affected
from sdd.model import endpoint, ids, sandbox
from sdd.model import service as services
from sdd.model.network import IPAddress
from sdd.state import EMPTY, ClusterState


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One sandbox's table, where it belongs, and whose each virtual address is."""

    name: str
    place: table.Place
    table: table.Table
    owners: Mapping[IPAddress, ids.ServiceId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What any sandbox on one network balances."""

    services: Mapping[IPAddress, table.VirtualService]
    owners: Mapping[IPAddress, ids.ServiceId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Every sandbox of `node`, also those with nothing to balance (their table is empty)."""

    state: ClusterState
    node: ids.NodeId
    networks: Mapping[ids.NetworkId, Network]
    sandboxes: Mapping[ids.SandboxId, Wanted]
    nodes: tuple[Node, ...] = ()


def nothing(node: ids.NodeId) -> Desired:
    """What is derived from no state."""
    return Desired(state=EMPTY, node=node, networks={}, sandboxes={})


def desired(state: ClusterState, before: Desired) -> Desired:
    """What `state` asks of `before`'s node."""
    stale = _stale(before.state, state)
    here = state.sandboxes_by_node.get(before.node, ())
    used = {each.network for box in here for each in _seen(state, box)}
    networks = {net: _network(state, net, stale, before) for net in used}
    nodes = ways_back.nodes(state)
    draft = Desired(
        state=state, node=before.node, networks=networks, sandboxes=before.sandboxes, nodes=nodes
    )
    sandboxes = {box.id: _sandbox(draft, box, before) for box in here}
    return replace(draft, sandboxes=sandboxes)


# Sandboxes


def _seen(state: ClusterState, box: sandbox.Sandbox) -> Sequence[endpoint.Endpoint]:
    """The endpoints over whose networks the sandbox balances: members are no clients of ingress."""
    plugs, net = state.endpoints_by_sandbox.get(box.id, ()), state.ingress
    if box.is_ingress or net is None:
        return plugs
    return [each for each in plugs if each.network != net.id]


def _sandbox(now: Desired, box: sandbox.Sandbox, before: Desired) -> Wanted:
    plugs = now.state.endpoints_by_sandbox.get(box.id, ())
    seen = _seen(now.state, box)
    known = before.sandboxes.get(box.id)
    if (
        known is not None
        and before.state.sandboxes.get(box.id) is box
        and _identical(plugs, before.state.endpoints_by_sandbox.get(box.id, ()))
        and (now.nodes == before.nodes or not known.place.is_member)
        and all(now.networks[one.network] is before.networks.get(one.network) for one in seen)
    ):
        return known
    return _joined(now, box, [now.networks[one.network] for one in seen])


def _joined(now: Desired, box: sandbox.Sandbox, networks: Collection[Network]) -> Wanted:
    virtual: dict[IPAddress, table.VirtualService] = {}
    owners: dict[IPAddress, ids.ServiceId] = {}
    for each in networks:  # a dict is merged without hashing its keys again
        virtual.update(each.services)
        owners.update(each.owners)
    return Wanted(
        name=box.name,
        place=place_of(now.state, box),
        table=table.Table(
            services=MappingProxyType(virtual), back=ways_back.of(now.state, box, now.nodes)
        ),
        owners=MappingProxyType(owners),
    )


def place_of(state: ClusterState, box: sandbox.Sandbox) -> table.Place:
    """Where the sandbox's table is."""
    plugs, net = state.endpoints_by_sandbox.get(box.id, ()), state.ingress
    uplinks = [each.ifname for each in plugs if net is None or each.network != net.id]
    return table.Place(
        netns=box.netns,
        inode=box.netns_inode,
        addresses=tuple(each for one in plugs for each in one.addresses),
        uplink=uplinks[0] if box.is_ingress and uplinks else "",
        is_member=not box.is_ingress and state.on_ingress(box.id) is not None,
    )


# Networks


def _network(
    state: ClusterState, net: ids.NetworkId, stale: frozenset[ids.ServiceId], before: Desired
) -> Network:
    known, those = before.networks.get(net), state.services_by_network.get(net, ())
    if state.networks[net].is_ingress:
        on_ingress = {vip: each.id for each in state.ingress_services for vip in each.ingress_vips}
        return _network_anew(state, on_ingress, stale, known)
    if known is None or before.state.services_by_network.get(net, ()) is not those:
        return _network_anew(state, _owners(those), stale, known)
    # The same services: an address is hashed only if something of its service is another.
    mine = [each for each in stale if (one := state.services.get(each)) and one.network == net]
    virtual = {
        vip: virtual_of(state, state.services[each], vip)
        for each in mine
        for vip in state.services[each].vips
        if vip in known.owners
    }
    if not virtual:
        return known
    return Network(services={**known.services, **virtual}, owners=known.owners)


def _network_anew(
    state: ClusterState,
    owners: Mapping[IPAddress, ids.ServiceId],
    stale: frozenset[ids.ServiceId],
    known: Network | None,
) -> Network:
    if known is not None and known.owners == owners and stale.isdisjoint(owners.values()):
        return known
    virtual = {
        vip: known.services[vip]
        if known is not None and owner not in stale and known.owners.get(vip) == owner
        else virtual_of(state, state.services[owner], vip)
        for vip, owner in owners.items()
    }
    return Network(services=virtual, owners=owners)


def _owners(those: Collection[services.Service]) -> dict[IPAddress, ids.ServiceId]:
    return {
        vip: service.id
        for service in those
        if service.mode is services.EndpointMode.VIP
        for vip in service.vips
    }


def virtual_of(
    state: ClusterState, service: services.Service, vip: IPAddress
) -> table.VirtualService:
    """Who serves behind the virtual address, on the network that it is of."""
    is_ingress = vip in service.ingress_vips
    backends = [
        table.Backend(address=address, weight=member.share)
        for member in state.serving(service).members
        if (plug := member_on(state, member, is_ingress=is_ingress)) is not None
        for address in state.answering(member, plug).hosts
        if address.version == vip.version
    ]
    return table.VirtualService(
        number=service.number,
        vip=vip,
        scheduler=service.scheduler,
        persistence_s=service.persistence_s,
        backends=plan.ordered(backends),
    )


def member_on(
    state: ClusterState, member: services.Member, *, is_ingress: bool
) -> endpoint.Endpoint | None:
    """The endpoint by which the member is reached: on the service's network, or on ingress."""
    if is_ingress:
        return state.on_ingress(member.sandbox)
    return state.endpoints.get(member.endpoint)


def _stale(before: ClusterState, after: ClusterState) -> frozenset[ids.ServiceId]:
    """The services of which something differs, the members' endpoints on ingress included."""
    found = affected.between(before, after)
    moved = {
        end.sandbox
        for each in found.endpoints
        for end in (before.endpoints.get(each), after.endpoints.get(each))
        if end is not None and after.ingress is not None and end.network == after.ingress.id
    }
    ends = (end for box in moved for end in after.endpoints_by_sandbox.get(box, ()))
    reached = (one.service for end in ends for one in after.members_by_endpoint.get(end.id, ()))
    return found.services | frozenset(reached)


# What stayed


def _identical(one: Collection[object], other: Collection[object]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))

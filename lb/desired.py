"""ClusterState, node → what must balance in each sandbox of that node.

A sandbox balances the services of the networks it is on, in its own namespace: it is the client.
Backends are the healthy members, wherever they run. Services without virtual addresses (dnsrr) are
the resolver's business alone. Given what it derived before, only what changed is derived anew, and
what did not change is the same object: one verdict among thousands of services costs little.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lb import plan, table
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


def nothing(node: ids.NodeId) -> Desired:
    """What is derived from no state."""
    return Desired(state=EMPTY, node=node, networks={}, sandboxes={})


def desired(state: ClusterState, before: Desired) -> Desired:
    """What `state` asks of `before`'s node."""
    services = affected.between(before.state, state).services
    here = state.sandboxes_by_node.get(before.node, ())
    used = {each.network for box in here for each in state.endpoints_by_sandbox.get(box.id, ())}
    networks = {net: _network(state, net, services, before) for net in used}
    sandboxes = {box.id: _sandbox(state, box, networks, before) for box in here}
    return Desired(state=state, node=before.node, networks=networks, sandboxes=sandboxes)


# Sandboxes


def _sandbox(
    state: ClusterState,
    box: sandbox.Sandbox,
    networks: Mapping[ids.NetworkId, Network],
    before: Desired,
) -> Wanted:
    plugs = state.endpoints_by_sandbox.get(box.id, ())
    known = before.sandboxes.get(box.id)
    if (
        known is not None
        and before.state.sandboxes.get(box.id) is box
        and _identical(plugs, before.state.endpoints_by_sandbox.get(box.id, ()))
        and all(networks[one.network] is before.networks.get(one.network) for one in plugs)
    ):
        return known
    return _joined(box, plugs, [networks[one.network] for one in plugs])


def _joined(
    box: sandbox.Sandbox, plugs: Collection[endpoint.Endpoint], networks: Collection[Network]
) -> Wanted:
    addresses = tuple(each for one in plugs for each in one.addresses)
    virtual: dict[IPAddress, table.VirtualService] = {}
    owners: dict[IPAddress, ids.ServiceId] = {}
    for each in networks:  # a dict is merged without hashing its keys again
        virtual.update(each.services)
        owners.update(each.owners)
    return Wanted(
        name=box.name,
        place=table.Place(netns=box.netns, inode=box.netns_inode, addresses=addresses),
        table=table.Table(services=MappingProxyType(virtual)),
        owners=MappingProxyType(owners),
    )


# Networks


def _network(
    state: ClusterState, net: ids.NetworkId, stale: frozenset[ids.ServiceId], before: Desired
) -> Network:
    known, those = before.networks.get(net), state.services_by_network.get(net, ())
    if known is None or before.state.services_by_network.get(net, ()) is not those:
        return _network_anew(state, those, stale, known)
    # The same services: an address is hashed only if something of its service is another.
    mine = [each for each in stale if (one := state.services.get(each)) and one.network == net]
    virtual = {
        vip: _virtual(state, state.services[each], vip)
        for each in mine
        for vip in state.services[each].vips
        if vip in known.owners
    }
    if not virtual:
        return known
    return Network(services={**known.services, **virtual}, owners=known.owners)


def _network_anew(
    state: ClusterState,
    those: Collection[services.Service],
    stale: frozenset[ids.ServiceId],
    known: Network | None,
) -> Network:
    owners = {
        vip: service.id
        for service in those
        if service.mode is services.EndpointMode.VIP
        for vip in service.vips
    }
    if known is not None and known.owners == owners and stale.isdisjoint(owners.values()):
        return known
    virtual = {
        vip: known.services[vip]
        if known is not None and owner not in stale and known.owners.get(vip) == owner
        else _virtual(state, state.services[owner], vip)
        for vip, owner in owners.items()
    }
    return Network(services=virtual, owners=owners)


def _virtual(
    state: ClusterState, service: services.Service, vip: IPAddress
) -> table.VirtualService:
    backends = [
        table.Backend(address=address, weight=member.share)
        for member in state.serving(service).members
        if (plug := state.endpoints.get(member.endpoint)) is not None
        for address in plug.hosts
        if address.version == vip.version
    ]
    return table.VirtualService(
        number=service.number,
        vip=vip,
        scheduler=service.scheduler,
        persistence_s=service.persistence_s,
        backends=plan.ordered(backends),
    )


# What stayed


def _identical(one: Collection[object], other: Collection[object]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))

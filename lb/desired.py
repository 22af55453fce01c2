"""ClusterState, node → what must balance in each sandbox of that node.

A sandbox balances the services of the networks it is on, in its own namespace: it is the client.
Backends are the healthy members, wherever they run. Services without virtual addresses (dnsrr) are
the resolver's business alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lb import plan, table
from sdd.model import ids, sandbox
from sdd.model import service as services
from sdd.model.network import IPAddress
from sdd.state import ClusterState


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One sandbox's table, where it belongs, and whose each virtual address is."""

    name: str
    place: table.Place
    table: table.Table
    owners: Mapping[IPAddress, ids.ServiceId]


def desired(state: ClusterState, node: ids.NodeId) -> Mapping[ids.SandboxId, Wanted]:
    """Every sandbox of `node`, also those with nothing to balance (their table is empty)."""
    per_network = {
        net: _virtual_services(state, net)
        for net in {each.network for each in state.endpoints.values() if each.node == node}
    }
    return {
        box.id: _wanted(state, box, per_network)
        for box in state.sandboxes.values()
        if box.node == node
    }


_Owned = Mapping[IPAddress, tuple[ids.ServiceId, table.VirtualService]]


def _wanted(
    state: ClusterState,
    box: sandbox.Sandbox,
    per_network: Mapping[ids.NetworkId, _Owned],
) -> Wanted:
    endpoints = state.endpoints_by_sandbox.get(box.id, ())
    owned = {vip: each for one in endpoints for vip, each in per_network[one.network].items()}
    addresses = tuple(each for one in endpoints for each in one.addresses)
    return Wanted(
        name=box.name,
        place=table.Place(netns=box.netns, addresses=addresses),
        table=table.Table(
            services=MappingProxyType({vip: virtual for vip, (_, virtual) in owned.items()})
        ),
        owners=MappingProxyType({vip: owner for vip, (owner, _) in owned.items()}),
    )


def _virtual_services(state: ClusterState, net: ids.NetworkId) -> _Owned:
    return {
        vip: (service.id, _virtual(state, service, vip))
        for service in state.services_by_network.get(net, ())
        if service.mode is services.EndpointMode.VIP
        for vip in service.vips
    }


def _virtual(
    state: ClusterState, service: services.Service, vip: IPAddress
) -> table.VirtualService:
    backends = [
        table.Backend(address=address, weight=member.weight)
        for member in state.healthy(service.id)
        if (endpoint := state.endpoints.get(member.endpoint)) is not None
        for address in endpoint.hosts
        if address.version == vip.version
    ]
    return table.VirtualService(
        number=service.number,
        vip=vip,
        scheduler=service.scheduler,
        persistence_s=service.persistence_s,
        backends=plan.ordered(backends),
    )

"""Short ways to make questions, scopes and states for the tests of names."""

from dataclasses import replace
from ipaddress import IPv4Interface, ip_address, ip_interface, ip_network

import dns.message

from resolver import protocol
from resolver.message import wire
from resolver.names import answer
from sdd.model import endpoint, health, ids, network, sandbox, service
from sdd.state import ClusterState, Object, Put

NODE = ids.NodeId("here")


def data(name: str, kind: str = "A", **options: object) -> bytes:
    """A query as dnspython would send it."""
    return dns.message.make_query(name, kind, **options).to_wire()  # type: ignore[arg-type]  # dnspython's own options


def query(name: str, kind: str = "A", **options: object) -> wire.Query:
    found = wire.parse(data(name, kind, **options))
    assert isinstance(found, wire.Query)
    return found


def scope(*tables: protocol.Names, **more: object) -> answer.Scope:
    view = protocol.View(
        sandbox="s",
        digest="",
        tables=[],
        suffixes=[wire.to_wire("net"), wire.to_wire("1.10.in-addr.arpa")],
        own={},
        upstreams=[],
        **more,  # type: ignore[arg-type]  # fields of the view
    )
    return answer.Scope.of(view, tables)


def a(*addresses: str) -> protocol.Entry:
    entry: protocol.Entry = {}
    for text in addresses:
        address = ip_address(text)
        kind = wire.A if address.version == 4 else wire.AAAA
        entry.setdefault(kind, []).append(wire.record(kind, 5, address.packed))
    return entry


def at(*values: Object) -> ClusterState:
    return ClusterState().apply(ids.Revision(7), [Put(each) for each in values])


def net(name: str, subnet: str = "10.1.0.0/24", **more: object) -> network.Network:
    pools = tuple(network.Pool(subnet=ip_network(each)) for each in subnet.split(","))
    return network.Network(id=ids.NetworkId(name * 3), name=name, pools=pools, **more)  # type: ignore[arg-type]  # fields of the model


def box(name: str, **more: object) -> sandbox.Sandbox:
    made = sandbox.Sandbox(
        id=ids.SandboxId((name.encode().hex() + "0" * 64)[:64]),
        name=name,
        node=NODE,
        origin=sandbox.Origin.NAMED,
        netns=f"/run/netns/{name}",
    )
    return replace(made, **more)  # type: ignore[arg-type]  # fields of the model


def end(
    of: sandbox.Sandbox, on: network.Network, *addresses: str, **more: object
) -> endpoint.Endpoint:
    interfaces = tuple(ip_interface(each) for each in addresses)
    assert all(isinstance(each, IPv4Interface) or each.version == 6 for each in interfaces)
    return endpoint.Endpoint(
        id=ids.EndpointId(f"{of.name}-{on.name}"),
        network=on.id,
        sandbox=of.id,
        node=of.node,
        addresses=interfaces,
        mac="02:00:00:00:00:01",
        ifname="eth0",
        **more,  # type: ignore[arg-type]  # fields of the model
    )


def svc(name: str, on: network.Network, **more: object) -> service.Service:
    return service.Service(id=ids.ServiceId(name), name=name, network=on.id, number=1, **more)  # type: ignore[arg-type]  # fields of the model


def member(of: service.Service, by: endpoint.Endpoint, weight: int = 1) -> service.Member:
    return service.Member(
        service=of.id, endpoint=by.id, sandbox=by.sandbox, node=by.node, weight=weight
    )


def verdict(of: service.Service, by: endpoint.Endpoint, status: health.Status) -> health.Verdict:
    return health.Verdict(service=of.id, endpoint=by.id, status=status)

"""States for the balancing tests: networks, sandboxes and services with readable names."""

from ipaddress import IPv4Network, ip_address, ip_interface

from sdd.model import endpoint, health, ids, network, sandbox, service
from sdd.model.service import CheckKind, EndpointMode, HealthCheck, Scheduler
from sdd.state import ClusterState, Object, Put

NODE = ids.NodeId("here")
ELSEWHERE = ids.NodeId("there")
CHECKED = HealthCheck(kind=CheckKind.TCP, port=80)


def net(name: str, number: int) -> network.Network:
    pool = network.Pool(subnet=IPv4Network(f"10.0.{number}.0/24"))
    return network.Network(id=ids.NetworkId(name), name=name, pools=(pool,))


def box(name: str, node: ids.NodeId = NODE) -> sandbox.Sandbox:
    return sandbox.Sandbox(
        id=ids.SandboxId(name),
        name=name,
        node=node,
        origin=sandbox.Origin.NAMED,
        netns=f"/ns/{name}",
    )


def plug(name: str, on: str, *addresses: str, node: ids.NodeId = NODE) -> endpoint.Endpoint:
    return endpoint.Endpoint(
        id=ids.EndpointId(f"{name}-{on}"),
        network=ids.NetworkId(on),
        sandbox=ids.SandboxId(name),
        node=node,
        addresses=tuple(map(ip_interface, addresses)),
        mac="02:00:00:00:00:01",
        ifname="eth0",
    )


def svc(
    name: str,
    on: str,
    *vips: str,
    number: int = 1,
    mode: EndpointMode = EndpointMode.VIP,
    scheduler: Scheduler = Scheduler.MH,
    check: HealthCheck | None = None,
) -> service.Service:
    return service.Service(
        id=ids.ServiceId(name),
        name=name,
        network=ids.NetworkId(on),
        number=number,
        vips=tuple(map(ip_address, vips)),
        mode=mode,
        scheduler=scheduler,
        health=check or HealthCheck(),
    )


def member(of: str, name: str, on: str, weight: int = 1, node: ids.NodeId = NODE) -> service.Member:
    return service.Member(
        service=ids.ServiceId(of),
        endpoint=ids.EndpointId(f"{name}-{on}"),
        sandbox=ids.SandboxId(name),
        node=node,
        weight=weight,
    )


def verdict(
    of: str, name: str, on: str, status: health.Status, answered: tuple[int, ...] = ()
) -> health.Verdict:
    return health.Verdict(
        service=ids.ServiceId(of),
        endpoint=ids.EndpointId(f"{name}-{on}"),
        status=status,
        answered=answered,
    )


def state(*values: Object, revision: int = 1) -> ClusterState:
    return ClusterState().apply(ids.Revision(revision), map(Put, values))

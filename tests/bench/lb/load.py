"""The load of the balancing benchmarks: one client on one network with many services."""

from ipaddress import IPv4Address, IPv4Network, ip_interface

from sdd.model import endpoint, ids, network, sandbox, service
from sdd.model.service import Scheduler
from sdd.state import ClusterState, Object, Put

NODE = ids.NodeId("bench")
NET = ids.NetworkId("front")
CLIENT = ids.SandboxId("client")
SUBNET = IPv4Network("10.64.0.0/10")
BACKENDS = 10
_VIPS = int(IPv4Address("10.64.0.0"))
_MEMBERS = int(IPv4Address("10.65.0.0"))


def state(
    netns: str,
    services: int,
    *,
    scheduler: Scheduler = Scheduler.RR,
    revision: int = 1,
    odd: tuple[int, int] | None = None,
) -> ClusterState:
    """`services` services of BACKENDS members each; `odd` = (service, weight of its first member)."""
    made: list[Object] = [
        network.Network(id=NET, name="front", pools=(network.Pool(subnet=SUBNET),)),
        sandbox.Sandbox(
            id=CLIENT, name="client", node=NODE, origin=sandbox.Origin.NAMED, netns=netns
        ),
        _endpoint("client", 1, CLIENT),
    ]
    for number in range(services):
        made.extend(_service(number, scheduler, odd))
    return ClusterState().apply(ids.Revision(revision), map(Put, made))


def _service(number: int, scheduler: Scheduler, odd: tuple[int, int] | None) -> list[Object]:
    name = ids.ServiceId(f"s{number:05}")
    made: list[Object] = [
        service.Service(
            id=name,
            name=name,
            network=NET,
            number=number + 1,
            vips=(IPv4Address(_VIPS + 256 + number),),
            scheduler=scheduler,
        )
    ]
    for at in range(BACKENDS):
        box = ids.SandboxId(f"{name}-{at}")
        plug = _endpoint(box, number * BACKENDS + at, box)
        weight = odd[1] if odd and odd[0] == number and at == 0 else 1
        made += [
            plug,
            service.Member(
                service=name, endpoint=plug.id, sandbox=box, node=ids.NodeId("away"), weight=weight
            ),
        ]
    return made


def _endpoint(name: str, number: int, box: ids.SandboxId) -> endpoint.Endpoint:
    node = NODE if box == CLIENT else ids.NodeId("away")
    base = IPv4Address("10.127.0.0") if box == CLIENT else IPv4Address(_MEMBERS)
    return endpoint.Endpoint(
        id=ids.EndpointId(name),
        network=NET,
        sandbox=box,
        node=node,
        addresses=(ip_interface(f"{base + number}/10"),),
        mac="02:00:00:00:00:01",
        ifname="eth0",
    )

"""The load of the balancing benchmarks: one client on one network with many services."""

from dataclasses import replace
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
    backends: int = BACKENDS,
) -> ClusterState:
    """`services` services of `backends` members each, all of weight 1, at revision 1."""
    made: list[Object] = [
        network.Network(id=NET, name="front", pools=(network.Pool(subnet=SUBNET),)),
        sandbox.Sandbox(
            id=CLIENT, name="client", node=NODE, origin=sandbox.Origin.NAMED, netns=netns
        ),
        _endpoint("client", 1, CLIENT),
    ]
    for number in range(services):
        made.extend(_service(number, scheduler, backends))
    return ClusterState().apply(ids.Revision(1), map(Put, made))


def reweighed(before: ClusterState, revision: int) -> ClusterState:
    """The state with another weight for one member in the middle."""
    one = list(before.members.values())[len(before.members) // 2]
    return before.apply(ids.Revision(revision), [Put(replace(one, weight=revision))])


def _service(number: int, scheduler: Scheduler, backends: int) -> list[Object]:
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
    for at in range(backends):
        box = ids.SandboxId(f"{name}-{at}")
        plug = _endpoint(box, number * backends + at, box)
        made += [
            plug,
            service.Member(service=name, endpoint=plug.id, sandbox=box, node=ids.NodeId("away")),
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

"""A state with the network `ingress`: an ingress sandbox here, one elsewhere, members with ways."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from sdd.model import endpoint, ids, network, sandbox, service
from sdd.model.port import Mode, Policy, Port
from sdd.state import ClusterState, Object
from tests.unit.lb import states


def closed(name: str, *subnets: str, gateway: bool) -> network.Network:
    pools = tuple(
        network.Pool(subnet=(found := ip_network(each)), gateway=found[1] if gateway else None)
        for each in subnets
    )
    return network.Network(
        id=ids.NetworkId(name), name=name, pools=pools, predefined=True, internal=not gateway
    )


INGRESS = closed("ingress", "10.0.0.0/24", "fd00::/64", gateway=False)
GATEWAY = closed("gwbridge", "172.18.0.0/16", "fd18::/64", gateway=True)
FRONT = network.Network(
    id=ids.NetworkId("front"),
    name="front",
    pools=(network.Pool(subnet=ip_network("10.1.0.0/24"), gateway=ip_address("10.1.0.1")),),
)
VAULT = network.Network(
    id=ids.NetworkId("vault"),
    name="vault",
    internal=True,
    pools=(network.Pool(subnet=ip_network("10.3.0.0/24"), gateway=ip_address("10.3.0.1")),),
)


def on_ingress(name: str, number: int, node: ids.NodeId = states.NODE) -> endpoint.Endpoint:
    made = states.plug(name, "ingress", f"10.0.0.{number}/24", f"fd00::{number:x}/64", node=node)
    return replace(made, ifname="ing0", mac=f"02:42:0a:00:00:{number:02x}")


def ingress_box(
    name: str, number: int, node: ids.NodeId = states.NODE
) -> tuple[sandbox.Sandbox, endpoint.Endpoint, endpoint.Endpoint]:
    box = replace(states.box(name, node), origin=sandbox.Origin.INGRESS)
    gateway = states.plug(name, "gwbridge", f"172.18.0.{number}/16", f"fd18::{number}/64")
    return box, gateway, on_ingress(name, number, node)


def shop(*ports: Port, **options: object) -> service.Service:
    made = states.svc("shop", "front", "10.1.0.100")
    vips = (ip_address("10.0.0.200"), ip_address("fd00::200"))
    return replace(made, ports=ports or (port(),), ingress_vips=vips, **options)  # type: ignore[arg-type]  # options of one case each


def port(published: int = 8080, policy: Policy = Policy.PRESERVE) -> Port:
    return Port(published=published, target=80, mode=Mode.INGRESS, policy=policy)


GROUND: tuple[Object, ...] = (INGRESS, GATEWAY, FRONT, VAULT, *ingress_box("sbox", 2))
WEB: tuple[Object, ...] = (
    states.box("web"),
    states.plug("web", "front", "10.1.0.2/24"),
    on_ingress("web", 10),
    states.member("shop", "web", "front", weight=3),
)


def town(*more: Object, revision: int = 1) -> ClusterState:
    return states.state(*GROUND, *WEB, shop(), *more, revision=revision)

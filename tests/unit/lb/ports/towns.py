"""States for the tests of published ports: two networks that let ports in, one that does not."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from lb.ports import desired
from lb.ports.table import Entry
from sdd.model import ids, network, sandbox, service
from sdd.model.port import Port
from sdd.state import ClusterState, Object, Put
from tests.unit.lb import states


def net(name: str, *subnets: str, internal: bool = False) -> network.Network:
    pools = tuple(
        network.Pool(subnet=ip_network(each), gateway=ip_network(each)[1]) for each in subnets
    )
    return network.Network(id=ids.NetworkId(name), name=name, pools=pools, internal=internal)


FRONT = net("front", "10.1.0.0/24", "fd01::/64")
BACK = net("back", "10.2.0.0/24")
VAULT = net("vault", "10.3.0.0/24", internal=True)
GROUND = (FRONT, BACK, VAULT)


def port(published: int = 8080, target: int = 80, **options: object) -> Port:
    host = options.pop("host", "")
    address = ip_address(str(host)) if host else None
    return Port(published=published, target=target, address=address, **options)  # type: ignore[arg-type]  # options of one case each


def box(name: str, *ports: Port, node: ids.NodeId = states.NODE) -> sandbox.Sandbox:
    return replace(states.box(name, node), ports=ports)


def svc(name: str, *ports: Port, **options: object) -> service.Service:
    made = states.svc(name, "front", "10.1.0.100")
    return replace(made, ports=ports, **options)  # type: ignore[arg-type]  # same


def entries(*values: Object) -> Sequence[Entry]:
    """Of all that publish, in the order of their numbers."""
    want = desired.desired(states.state(*GROUND, *values), desired.nothing(states.NODE))
    found = (entry for part in want.parts.values() for entry in part)
    return sorted(found, key=lambda each: (each.bind.number, each.bind.version))


def later(state: ClusterState, *values: Object) -> ClusterState:
    """The next revision."""
    return state.apply(ids.Revision(state.revision + 1), map(Put, values))

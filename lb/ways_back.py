"""ClusterState, sandbox → its ways back to the ingress sandboxes of all nodes. Pure.

The kernel answers a client that is on one of the sandbox's own networks from its address there, and
all others from that of its default route: so does `homes`.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_network
from types import MappingProxyType

from lb import back
from lb.back import Back, Home, Node
from sdd.model import endpoint, reach, sandbox
from sdd.model.network import IPAddress
from sdd.state import ClusterState

_EVERYBODY = MappingProxyType({4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")})


def nodes(state: ClusterState) -> tuple[Node, ...]:
    """The ingress sandboxes of all nodes, as members meet them, ordered by mark."""
    found = (
        _node(end)
        for box in state.ingress_sandboxes
        if (end := state.on_ingress(box.id)) is not None
    )
    return tuple(sorted(found, key=lambda each: each.mark))


def of(state: ClusterState, box: sandbox.Sandbox, known: tuple[Node, ...]) -> Back | None:
    """Those of `box`, given `nodes(state)`; None when it is no member of anything on ingress."""
    end = None if box.is_ingress else state.on_ingress(box.id)
    if end is None or not known:
        return None
    ways = _ways(state, box, end)
    return Back(
        link=end.ifname,
        own=end.hosts,
        homes=(
            *_near(state, box, end),
            *(Home(clients=_EVERYBODY[each.version], address=each) for each in ways.values()),
        ),
        beside=tuple(
            Home(clients=each.network, address=ways[each.version])
            for each in end.addresses
            if each.version in ways
        ),
        nodes=known,
        lost=tuple(each.version for each in end.hosts if each.version not in ways),
    )


def _node(end: endpoint.Endpoint) -> Node:
    (number,) = (each for each in end.hosts if isinstance(each, IPv4Address))
    return Node(mac=end.mac, mark=back.mark(number), gateways=end.hosts)


def _near(state: ClusterState, box: sandbox.Sandbox, end: endpoint.Endpoint) -> Iterator[Home]:
    for each in state.endpoints_by_sandbox[box.id]:
        for address in each.addresses if each is not end else ():
            yield Home(clients=address.network, address=address.ip)


def _ways(
    state: ClusterState, box: sandbox.Sandbox, end: endpoint.Endpoint
) -> dict[int, IPAddress]:
    """IP version → the address of the endpoint that gives the default route."""
    found: dict[int, IPAddress] = {}
    for each in state.endpoints_by_sandbox[box.id]:
        for address in each.hosts if each is not end else ():
            if reach.is_way_out(state.networks[each.network], each, address.version):
                found.setdefault(address.version, address)
    return found

"""(ClusterState, node) → what each of its sandboxes adds to the kernel. Pure.

Most sandboxes are the same at the next revision. Which ones are not, the state's tables know
(`sdd/lineage.py`); only those are made anew, so that a change costs the same beside a thousand.
"""

import functools
import ipaddress
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from netns import drivers, world
from netns.drivers import contract
from netns.world import Setting
from sdd import contained, lineage
from sdd.model import address, endpoint, ids, network, progress, sandbox
from sdd.state import ClusterState

_DEFAULT: Mapping[int, network.IPNetwork] = {
    4: ipaddress.ip_network("0.0.0.0/0"),
    6: ipaddress.ip_network("::/0"),
}
_METRIC: Mapping[int, int] = {4: 0, 6: world.METRIC6}
_NO_ROUTES: frozenset[world.Route] = frozenset()  # each other empty one takes 216 bytes
_LOOPBACK = world.Link(name=world.LOOPBACK, kind=world.Kind.LOOPBACK)


@dataclass(frozen=True, slots=True)
class Part:
    """What one sandbox adds, and of which objects it was made."""

    made_of: tuple[object, ...]
    publishes: bool
    space: world.Wanted
    outers: tuple[world.Link, ...]
    routes: frozenset[world.Route] = frozenset()  # by which the host reaches it
    failures: tuple[progress.Failure, ...] = ()  # of endpoints that it cannot have


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Those of all sandboxes of a node, and the tables that they were made of."""

    by_sandbox: Mapping[ids.SandboxId, Part]
    publishing: frozenset[ids.SandboxId]
    networks: Mapping[ids.NetworkId, network.Network]
    sandboxes: Mapping[ids.SandboxId, sandbox.Sandbox]
    endpoints: Mapping[ids.EndpointId, endpoint.Endpoint]


NOTHING = Parts({}, frozenset(), {}, {}, {})


def made(state: ClusterState, node: ids.NodeId, before: Parts) -> Parts:
    """Those of `node`; a part is the same one while nothing of what it is made of changed."""
    publishing = frozenset(_publishing(state))
    touched = _touched(state, publishing, before)
    known = before.by_sandbox
    if touched is None:
        boxes = {box.id: box for box in state.sandboxes_by_node.get(node, ())}
        gone = known.keys() - boxes.keys()
    else:
        found = ((each, state.sandboxes.get(each)) for each in touched)
        boxes = {each: box for each, box in found if box is not None and box.node == node}
        gone = known.keys() & (touched - boxes.keys())
    changes: dict[ids.SandboxId, Part | None] = dict.fromkeys(gone)
    for each, box in boxes.items():
        part = _part(state, box, known.get(each), publishes=each in publishing)
        if part is not known.get(each):
            changes[each] = part
    return Parts(
        lineage.successor(known, changes) if changes else known,
        publishing,
        state.networks,
        state.sandboxes,
        state.endpoints,
    )


def _touched(
    state: ClusterState, publishing: frozenset[ids.SandboxId], before: Parts
) -> frozenset[ids.SandboxId] | None:
    """The sandboxes of which anything may be new; None when that is not known."""
    nets = lineage.between(before.networks, state.networks)
    boxes = lineage.between(before.sandboxes, state.sandboxes)
    ends = lineage.between(before.endpoints, state.endpoints)
    if nets is None or boxes is None or ends is None:
        return None
    found = set(boxes) | (publishing ^ before.publishing)
    for key in ends:
        versions = (before.endpoints.get(key), state.endpoints.get(key))
        found.update(end.sandbox for end in versions if end is not None)
    for net in nets:
        found.update(end.sandbox for end in state.endpoints_by_network.get(net, ()))
    if nets:  # an ingress sandbox has routes to all of that network
        found.update(box.id for box in state.ingress_sandboxes)
    return frozenset(found)


def _publishing(state: ClusterState) -> Iterator[ids.SandboxId]:
    """The sandboxes behind published ports."""
    for each in state.publishers:
        if isinstance(each, sandbox.Sandbox):
            yield each.id
        else:
            yield from (one.sandbox for one in state.members_by_service.get(each.id, ()))


def _part(
    state: ClusterState, box: sandbox.Sandbox, known: Part | None, *, publishes: bool
) -> Part:
    pairs = [
        (state.networks[end.network], end) for end in state.endpoints_by_sandbox.get(box.id, ())
    ]
    beyond = state.ingress if box.is_ingress else None
    made_of = (box, beyond, *chain.from_iterable(pairs))
    if known is not None and known.publishes == publishes and _are_same(known.made_of, made_of):
        return known
    tried = [
        (net, end, _plugged(box, net, end, translator))
        for net, end in pairs
        if (translator := drivers.TRANSLATORS.get(net.driver)) is not None
    ]
    parts = [(net, end, part) for net, end, part in tried if not isinstance(part, progress.Failure)]
    outers = (part.outer for _, _, part in parts if part.outer is not None)
    if publishes:
        outers = (_with_hairpin(each) for each in outers)
    return Part(
        made_of,
        publishes,
        _space(box, parts),
        tuple(outers),
        frozenset(
            (
                *chain.from_iterable(part.host_routes for _, _, part in parts),
                *(_routes_to(beyond, pairs) if beyond is not None else ()),
            )
        )
        or _NO_ROUTES,
        tuple(part for _, _, part in tried if isinstance(part, progress.Failure)),
    )


def _plugged(
    box: sandbox.Sandbox,
    net: network.Network,
    end: endpoint.Endpoint,
    translator: contract.Translator,
) -> contract.Attachment | progress.Failure:
    return contained.attempt(
        functools.partial(_attached, translator, net, end),
        end.id,
        f"sandbox {box.name!r} is not on network {net.name!r}",
    )


def _attached(
    translator: contract.Translator, net: network.Network, end: endpoint.Endpoint
) -> contract.Attachment:
    """Not with an address that names a link: the kernel leaves that out, and others may have it."""
    check_pools(net)
    address.check_stored(*end.addresses, *end.link_local)
    return translator.attach(net, end)


def check_pools(net: network.Network) -> None:
    """Raises of a stored pool with an address that names a link."""
    for pool in net.pools:
        address.check_stored(pool.subnet, pool.gateway)


def _routes_to(
    net: network.Network, ends: Iterable[tuple[network.Network, endpoint.Endpoint]]
) -> Iterator[world.Route]:
    """The host's way to the virtual addresses of ports: by the ingress sandbox, never straight."""
    for gateway, end in ends:
        if gateway.is_ingress:
            continue
        for pool in net.pools:
            version = pool.subnet.version
            yield from (
                world.Route(
                    destination=pool.subnet,
                    gateway=address,
                    link=gateway.device,
                    metric=_METRIC[version],
                )
                for address in end.hosts
                if address.version == version
            )


def _with_hairpin(outer: world.Link) -> world.Link:
    """With br_netfilter, what a sandbox sends to its own published port never leaves the bridge."""
    settings = dict(outer.settings)
    if Setting.HAIRPIN not in settings:
        return outer
    return replace(outer, settings=frozenset((settings | {Setting.HAIRPIN: 1}).items()))


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


_Attached = tuple[network.Network, endpoint.Endpoint, contract.Attachment]


def _space(box: sandbox.Sandbox, parts: Collection[_Attached]) -> world.Wanted:
    attachments = [part for _, _, part in parts]
    given = tuple(chain.from_iterable(part.addresses for part in attachments))
    # IPv6 may be off in a sandbox that has no address of it, and on loopback in a guest.
    is_ours = box.origin is not sandbox.Origin.ADOPTED
    versions = {4, *(each.interface.version for each in given if is_ours)}
    own = (each for each in world.LOOPBACK_ADDRESSES if each.interface.version in versions)
    addresses = frozenset((*given, *own))
    return world.Wanted(
        path=box.netns,
        owner=_OWNER[box.origin],
        subject=box.id,
        name=box.name,
        inode=box.netns_inode if box.origin is sandbox.Origin.ADOPTED else 0,
        links=(_LOOPBACK, *(part.inner for part in attachments)),
        addresses=addresses,
        routes=frozenset(chain(world.kernel_routes(addresses), _default_routes(parts))),
    )


_OWNER = {
    sandbox.Origin.NAMED: world.Owner.SDD,
    sandbox.Origin.ADOPTED: world.Owner.GUEST,
    sandbox.Origin.INGRESS: world.Owner.SDD,
}


def _default_routes(parts: Iterable[_Attached]) -> Iterable[world.Route]:
    """One per family, chosen independently: the first in gateway order that has a way (G1)."""
    taken: set[int] = set()
    for _, end, part in parts:
        for way in part.ways:
            if way.version not in taken:
                taken.add(way.version)
                yield _default_route(way.version, way.gateway, end.ifname)


@functools.lru_cache(1024)  # of the sandboxes of one network it is the same
def _default_route(version: int, gateway: network.IPAddress | None, link: str) -> world.Route:
    return world.Route(
        destination=_DEFAULT[version],
        gateway=gateway,
        link=link,
        metric=_METRIC[version],
    )

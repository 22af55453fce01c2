"""ClusterState → what this node should have in its kernel.

In: the state, the node's id. Out: one `Want`. What is there already is not known here, and the
order of doing is `netns.plan`'s job.
"""

import functools
import ipaddress
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from netns import drivers, firewall, world
from netns.drivers import contract
from netns.world import Setting
from sdd import contained
from sdd.model import address, endpoint, ids, network, progress, reach, sandbox
from sdd.state import ClusterState

_DEFAULT: Mapping[int, network.IPNetwork] = {
    4: ipaddress.ip_network("0.0.0.0/0"),
    6: ipaddress.ip_network("::/0"),
}
_METRIC: Mapping[int, int] = {4: 0, 6: world.METRIC6}
_LOOPBACK = world.Link(name=world.LOOPBACK, kind=world.Kind.LOOPBACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """The host is `spaces[""]`. `failures` are the objects of which nothing can be made here.

    `users` says for the marks of shared host links which networks need them.
    """

    spaces: Mapping[str, world.Wanted]
    table: firewall.Table = firewall.OPEN
    forwarding: frozenset[int] = frozenset()
    failures: tuple[progress.Failure, ...] = ()
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Mapping[ids.SandboxId, "Part"] = field(default_factory=dict, compare=False, repr=False)
    grounds: Mapping[ids.NetworkId, "_Laid"] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def host(self) -> world.Wanted:
        """What the host's namespace should hold of ours."""
        return self.spaces[world.HOST]

    def sysctls(self, paths: Iterable[str]) -> dict[str, frozenset[tuple[str, str]]]:
        """Which files below /proc/sys must be read, and of which link; most have none."""
        asked = {
            path: frozenset(
                (link.name, file) for link in self.spaces[path].links for file, _ in link.sysctls
            )
            for path in paths
        }
        return {path: files for path, files in asked.items() if files}

    def part(self, paths: Collection[str], links: Collection[str]) -> "Want":
        """The same, narrowed to some namespaces and to some links of the host."""
        host = replace(
            self.host,
            links=tuple(link for link in self.host.links if link.name in links),
            addresses=frozenset(each for each in self.host.addresses if each.link in links),
            routes=frozenset(each for each in self.host.routes if each.link in links),
        )
        spaces = {path: self.spaces[path] for path in paths if path in self.spaces}
        return replace(self, spaces={**spaces, world.HOST: host})


@dataclass(frozen=True, slots=True)
class _Laid:
    """What a network needs, of which object that was made, and where its ports are open."""

    net: network.Network
    ground: contract.Ground
    routed: frozenset[int]
    routes: frozenset[world.Route]


@dataclass(frozen=True, slots=True)
class Part:
    """What one sandbox adds, and of which objects it was made."""

    made_of: tuple[object, ...]
    ends: tuple[endpoint.Endpoint, ...]
    nets: Mapping[ids.NetworkId, network.Network]
    publishes: bool
    space: world.Wanted
    outers: tuple[world.Link, ...]
    routes: frozenset[world.Route] = frozenset()  # by which the host reaches it
    failures: tuple[progress.Failure, ...] = ()  # of endpoints that it cannot have

    def is_of(
        self,
        box: sandbox.Sandbox,
        ends: tuple[endpoint.Endpoint, ...],
        nets: Mapping[ids.NetworkId, network.Network],
    ) -> bool:
        """Whether it was made of these very objects; most are the same at the next revision."""
        return self.ends is ends and self.nets is nets and self.made_of[0] is box


@dataclass(slots=True)
class _Draft:
    """Sums up what the translators say of the host."""

    links: dict[str, world.Link] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)
    addresses: set[world.Address] = field(default_factory=set)
    routes: set[world.Route] = field(default_factory=set)
    fences: set[firewall.Fence] = field(default_factory=set)
    forwarding: set[int] = field(default_factory=set)
    failures: list[progress.Failure] = field(default_factory=list)


def desired(state: ClusterState, node: ids.NodeId, before: Want | None = None) -> Want:
    """Everything of this node: all its networks, the sandboxes with `node` and their endpoints.

    `before` is an earlier result: what was made of the very same objects is taken from it.
    """
    draft = _Draft()
    found = _grounds(state, before.grounds if before is not None else {})
    grounds = {net: each for net, each in found.items() if isinstance(each, _Laid)}
    for net in sorted(state.networks.values(), key=lambda each: each.id):
        _lay(draft, state, net, found.get(net.id))
    known = before.parts if before is not None else {}
    publishing = frozenset(_publishing(state))
    parts = {
        box.id: _part(state, box, known.get(box.id), publishes=box.id in publishing)
        for box in state.sandboxes_by_node.get(node, ())
    }
    host = world.Wanted(
        path=world.HOST,
        owner=world.Owner.HOST,
        links=(*draft.links.values(), *chain.from_iterable(part.outers for part in parts.values())),
        addresses=frozenset(draft.addresses),
        routes=frozenset(draft.routes.union(*(part.routes for part in parts.values()))),
    )
    return Want(
        spaces={world.HOST: host} | {part.space.path: part.space for part in parts.values()},
        table=firewall.Table(frozenset(draft.fences)),
        forwarding=frozenset(draft.forwarding),
        failures=(*draft.failures, *(one for part in parts.values() for one in part.failures)),
        users={mark: tuple(nets) for mark, nets in draft.users.items()},
        parts=parts,
        grounds=grounds,
    )


def _grounds(
    state: ClusterState, known: Mapping[ids.NetworkId, _Laid]
) -> dict[ids.NetworkId, _Laid | progress.Failure]:
    """What each network needs on the host; of an unknown driver nothing."""
    found: dict[ids.NetworkId, _Laid | progress.Failure] = {}
    for net in state.networks.values():
        before = known.get(net.id)
        if before is not None and before.net is net:
            found[net.id] = before
        elif (translator := drivers.TRANSLATORS.get(net.driver)) is not None:
            found[net.id] = contained.attempt(
                functools.partial(_laid, translator, net),
                net.id,
                f"network {net.name!r} is not on this node",
            )
    return found


def _laid(translator: contract.Translator, net: network.Network) -> _Laid:
    _check_pools(net)
    ground = translator.ground(net)
    routes = frozenset(world.kernel_routes(ground.addresses))
    return _Laid(net, ground, reach.routed(net), routes)


def _check_pools(net: network.Network) -> None:
    for pool in net.pools:
        address.check_stored(pool.subnet, pool.gateway)


def _attached(
    translator: contract.Translator, net: network.Network, end: endpoint.Endpoint
) -> contract.Attachment:
    """Not with an address that names a link: the kernel leaves that out, and others may have it."""
    _check_pools(net)
    address.check_stored(*end.addresses, *end.link_local)
    return translator.attach(net, end)


def _lay(
    draft: _Draft,
    state: ClusterState,
    net: network.Network,
    laid: _Laid | progress.Failure | None,
) -> None:
    if isinstance(laid, progress.Failure):
        draft.failures.append(laid)
        return
    if laid is None:
        ends = state.endpoints_by_network.get(net.id, ())
        draft.failures.extend(_unknown_driver(net, (net.id, *(end.id for end in ends))))
        return
    ground = laid.ground
    for link in ground.links:
        draft.links.setdefault(link.name, link)
        draft.users.setdefault(link.mark, []).append(net.id)
    draft.addresses |= ground.addresses
    draft.routes |= laid.routes
    draft.forwarding |= ground.forwarding
    if ground.fence is not None and laid.routed:
        openings = frozenset(_openings(state, net, laid.routed))
        draft.fences.add(replace(ground.fence, openings=openings))
    elif ground.fence is not None:
        draft.fences.add(ground.fence)


def _openings(
    state: ClusterState, net: network.Network, versions: frozenset[int]
) -> Iterator[firewall.Opening]:
    """The published ports of sandboxes and services on a routed network, at their addresses."""
    published = [(svc.id, svc.ports) for svc in state.services_by_network.get(net.id, ())]
    for end in state.endpoints_by_network.get(net.id, ()):
        ports = chain(
            state.sandboxes[end.sandbox].ports,
            *(each for of, each in published if (of, end.id) in state.members),
        )
        for port in ports:
            for host in end.hosts:
                if host.version in versions:
                    yield firewall.Opening(host, port.protocol, port.target)


def _unknown_driver(net: network.Network, subjects: Iterable[str]) -> Iterable[progress.Failure]:
    for subject in subjects:
        yield progress.Failure(
            subject=subject,
            sentence=f"network {net.name!r} has the driver {net.driver.value!r}, "
            "which this node cannot make",
            hint="remove the network and make it with the driver bridge",
            code="SDD-NET-DRIVER",
        )


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
    ends = state.endpoints_by_sandbox.get(box.id, ())
    if known is not None and known.publishes != publishes:
        known = None
    if known is not None and known.is_of(box, ends, state.networks):
        return known
    pairs = [(state.networks[end.network], end) for end in ends]
    beyond = state.ingress if box.is_ingress else None
    made_of = (box, beyond, *chain.from_iterable(pairs))
    if known is not None and _are_same(known.made_of, made_of):
        return replace(known, ends=ends, nets=state.networks)
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
        ends,
        state.networks,
        publishes,
        _space(box, parts),
        tuple(outers),
        frozenset(
            (
                *chain.from_iterable(part.host_routes for _, _, part in parts),
                *(_routes_to(beyond, pairs) if beyond is not None else ()),
            )
        ),
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
                yield world.Route(
                    destination=_DEFAULT[way.version],
                    gateway=way.gateway,
                    link=end.ifname,
                    metric=_METRIC[way.version],
                )

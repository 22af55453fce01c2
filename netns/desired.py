"""ClusterState → what this node should have in its kernel.

In: the state, the node's id. Out: one `Want`. What is there already is not known here, and the
order of doing is `netns.plan`'s job.
"""

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter

from netns import drivers, firewall, parts, world
from netns.drivers import contract
from sdd import contained, lineage
from sdd.model import ids, network, progress, reach
from sdd.state import ClusterState


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """The host is `spaces[""]`. `failures` are the objects of which nothing can be made here.

    `users` says for the marks of shared host links which networks need them. `links` are the host's
    by name; `ground` names those that networks need, what stands on others after them, and
    `floors` those on which links stand, whoever made them.
    """

    spaces: Mapping[str, world.Wanted]
    table: firewall.Table = firewall.OPEN
    forwarding: frozenset[int] = frozenset()
    failures: tuple[progress.Failure, ...] = ()
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    links: Mapping[str, world.Link] = field(default_factory=dict)
    ground: tuple[str, ...] = ()
    floors: frozenset[str] = frozenset()
    boxes: parts.Parts = field(default=parts.NOTHING, compare=False, repr=False)
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
        ground = [name for name in self.ground if name in links]
        others = sorted(set(links).difference(ground))
        own = {name: self.links[name] for name in (*ground, *others) if name in self.links}
        host = replace(
            self.host,
            links=tuple(own.values()),
            addresses=frozenset(each for each in self.host.addresses if each.link in links),
            routes=frozenset(each for each in self.host.routes if each.link in links),
        )
        spaces = {path: self.spaces[path] for path in paths if path in self.spaces}
        return replace(self, spaces={**spaces, world.HOST: host}, links=own)


@dataclass(frozen=True, slots=True)
class _Laid:
    """What a network needs, of which object that was made, and where its ports are open."""

    net: network.Network
    ground: contract.Ground
    routed: frozenset[int]
    routes: frozenset[world.Route]


@dataclass(slots=True)
class _Draft:
    """Sums up what the translators say of the host."""

    links: dict[str, world.Link] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)
    floors: set[str] = field(default_factory=set)
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
    on = parts.made(state, node, before.boxes if before is not None else parts.NOTHING)
    links = _links(on.by_sandbox, draft.links, before)
    host = world.Wanted(
        path=world.HOST,
        owner=world.Owner.HOST,
        links=_in_order(links, draft.links, before),
        addresses=frozenset(draft.addresses),
        routes=frozenset(draft.routes.union(*map(_ROUTES, on.by_sandbox.values()))),
    )
    lacking = (
        _with_the_networks(each, state, found)
        for each in chain.from_iterable(map(_FAILURES, on.by_sandbox.values()))
    )
    return Want(
        spaces=_spaces(on.by_sandbox, host, before),
        table=firewall.Table(frozenset(draft.fences)),
        forwarding=frozenset(draft.forwarding),
        failures=(*draft.failures, *sorted(lacking, key=attrgetter("subject"))),
        users={mark: tuple(nets) for mark, nets in draft.users.items()},
        links=links,
        ground=tuple(draft.links),
        floors=frozenset(draft.floors),
        boxes=on,
        grounds=grounds,
    )


def _with_the_networks(
    failure: progress.Failure,
    state: ClusterState,
    found: Mapping[ids.NetworkId, "_Laid | progress.Failure"],
) -> progress.Failure:
    """An endpoint of a network that cannot be made fails for the network's reason."""
    end = state.endpoints.get(ids.EndpointId(failure.subject))
    root = found.get(end.network) if end is not None else None
    return replace(root, subject=failure.subject) if isinstance(root, progress.Failure) else failure


_ROUTES = attrgetter("routes")
_FAILURES = attrgetter("failures")
_NAME = attrgetter("name")
_Parts = Mapping[ids.SandboxId, parts.Part]


def _links(
    on: _Parts, ground: Mapping[str, world.Link], before: Want | None
) -> Mapping[str, world.Link]:
    """The links of the host by name; the same mapping while none changed."""
    then = before.boxes.by_sandbox if before is not None else {}
    keys = lineage.between(then, on)
    if before is None or keys is None:
        outers = chain.from_iterable(part.outers for part in on.values())
        return lineage.Version({**ground, **{link.name: link for link in outers}})
    found: dict[str, world.Link | None] = dict.fromkeys(set(before.ground).difference(ground))
    found |= dict.fromkeys(link.name for key in keys if key in then for link in then[key].outers)
    found |= {link.name: link for key in keys if key in on for link in on[key].outers}
    found |= ground
    changes = {name: link for name, link in found.items() if before.links.get(name) is not link}
    return lineage.successor(before.links, changes) if changes else before.links


def _in_order(
    links: Mapping[str, world.Link], ground: Mapping[str, world.Link], before: Want | None
) -> tuple[world.Link, ...]:
    """The ground first, the others by name, whichever of them were there before."""
    changed = lineage.between(before.links, links) if before is not None else None
    if before is None or changed is None:
        return (*ground.values(), *sorted(_beyond(links, ground, links), key=_NAME))
    news = frozenset(changed)
    kept = (each for each in before.host.links[len(before.ground) :] if each.name not in news)
    new = _beyond(news, ground, links)
    # Sorted already but for the new ones, which Python's sort makes use of.
    return (*ground.values(), *sorted((*kept, *new), key=_NAME))


def _beyond(
    names: Iterable[str], ground: Collection[str], links: Mapping[str, world.Link]
) -> Iterator[world.Link]:
    return (links[name] for name in names if name in links and name not in ground)


def _spaces(on: _Parts, host: world.Wanted, before: Want | None) -> Mapping[str, world.Wanted]:
    """The namespaces by path."""
    then = before.boxes.by_sandbox if before is not None else {}
    keys = lineage.between(then, on)
    if before is not None and keys is not None:
        changes: dict[str, world.Wanted | None] = {world.HOST: host}
        changes |= dict.fromkeys(then[key].space.path for key in keys if key in then)
        changes |= {on[key].space.path: on[key].space for key in keys if key in on}
        found = lineage.successor(before.spaces, changes)
        if len(found) == 1 + len(on):  # unless two of them claimed one path
            return found
    return lineage.Version(
        {world.HOST: host, **{each.space.path: each.space for each in on.values()}}
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
    parts.check_pools(net)
    ground = translator.ground(net)
    routes = frozenset(world.kernel_routes(ground.addresses))
    return _Laid(net, ground, reach.routed(net), routes)


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
    draft.floors.update({ground.floor, *(link.parent for link in ground.links)} - {""})
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

"""State → what this node's sandboxes need to find names: views, tables, sockets, texts of files.

In: a state, the node, the daemon's settings and what was wanted before. Out: values. What a
sandbox needs is computed anew only when something that it depends on was replaced: a revision
mostly touches one sandbox of a thousand.
"""

import functools
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from resolver import protocol
from resolver.control import snapshot
from resolver.files import foreign, hosts, own, resolvconf, upstreams
from resolver.names import table
from resolver.space import opener, place
from sdd import affected, contained, shared
from sdd.model import endpoint, ids, network, progress, sandbox
from sdd.state import EMPTY, ClusterState

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """All that the needs of one sandbox are made of."""

    box: sandbox.Sandbox
    daemon: upstreams.DaemonDns
    ends: tuple[endpoint.Endpoint, ...]
    nets: tuple[network.Network, ...]
    wild: tuple[ids.NetworkId, ...]  # those of `nets` that have wildcard records

    def stands(self, now: "Ground") -> bool:
        """Whether every object is still the same one: states share what no revision replaced."""
        return (
            self.box is now.box
            and self.daemon is now.daemon
            and self.wild == now.wild
            and len(self.ends) == len(now.ends)
            and all(map(_is, self.ends, now.ends))
            and all(map(_is, self.nets, now.nets))
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Need:
    """What one sandbox needs; without a view it has no server of ours."""

    ground: Ground
    spot: place.Spot
    texts: own.Texts
    view: snapshot.View | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one revision wants of this node; `failures` are of what it cannot want.

    `broken` are those of sandboxes. `named` are the networks whose names are told.
    """

    snapshot: snapshot.Snapshot
    state: ClusterState = field(default=EMPTY, compare=False)  # from which all this was made
    daemon: upstreams.DaemonDns | None = field(default=None, compare=False)  # and with which
    needs: Mapping[ids.SandboxId, Need] = field(default_factory=dict)  # every sandbox of this node
    spots: Mapping[ids.SandboxId, place.Spot] = field(default_factory=dict)
    texts: Mapping[ids.SandboxId, own.Texts] = field(default_factory=dict)
    broken: Mapping[ids.SandboxId, progress.Failure] = field(default_factory=dict)
    named: Collection[network.Network] = ()
    failures: tuple[progress.Failure, ...] = ()


NOTHING: Final = Wanted(snapshot=snapshot.Snapshot(ids.NEVER))


def desired(
    state: ClusterState, node: ids.NodeId, daemon: upstreams.DaemonDns, before: Wanted = NOTHING
) -> Wanted:
    """What `state` wants of `node`.

    A sandbox of which nothing can be made has no name service; all others are as ever.
    """
    wild = _wild(state)
    fresh: dict[ids.SandboxId, Need | None] = {}
    broken: dict[ids.SandboxId, progress.Failure | None] = {}
    for key in _reached(state, node, daemon, before):
        box = state.sandboxes.get(key)
        made = None
        if box is not None and box.node == node:
            made = contained.attempt(
                functools.partial(_need, state, box, daemon, wild, before.needs.get(key)),
                key,
                f"sandbox {box.name!r} has no name service",
            )
        fresh[key] = made if isinstance(made, Need) else None
        broken[key] = made if isinstance(made, progress.Failure) else None
    fresh = {box: need for box, need in fresh.items() if need is not before.needs.get(box)}
    needs = _amended(before.needs, fresh)
    served = {str(box): need.view if need else None for box, need in fresh.items()}
    named = _named(needs) if fresh else before.named
    tables_before = before.snapshot.tables
    news = affected.between(before.state, state)
    tables = {
        str(net.id): table.table(state, net, daemon.ttl, tables_before.get(str(net.id)), news)
        for net in named
    }
    without = _amended(before.broken, broken)
    return Wanted(
        state=state,
        daemon=daemon,
        snapshot=snapshot.Snapshot(state.revision, tables, _amended(before.snapshot.views, served)),
        needs=needs,
        spots=_amended(
            before.spots, {box: need.spot if need else None for box, need in fresh.items()}
        ),
        texts=_amended(
            before.texts, {box: need.texts if need else None for box, need in fresh.items()}
        ),
        broken=without,
        named=named,
        failures=(
            *(without[box] for box in sorted(without)),
            *(one for each in tables.values() for one in each.failures),
        ),
    )


def _reached(
    state: ClusterState, node: ids.NodeId, daemon: upstreams.DaemonDns, before: Wanted
) -> Collection[ids.SandboxId]:
    """The sandboxes that may need something else than before: of a thousand, mostly one.

    Others than this node's may be among them.
    """
    if before.daemon is not daemon:
        return {*before.needs, *(each.id for each in state.sandboxes_by_node.get(node, ()))}
    was = before.state
    ends = affected.changed(was.endpoints, state.endpoints)
    found = (of.endpoints.get(each) for of in (was, state) for each in ends)
    boxes = {end.sandbox for end in found if end is not None}
    boxes |= affected.changed(was.sandboxes, state.sandboxes)
    for net in affected.changed(was.networks, state.networks) | (_wild(was) ^ _wild(state)):
        boxes.update(end.sandbox for end in state.endpoints_by_network.get(net, ()))
    return boxes


def _wild(state: ClusterState) -> frozenset[ids.NetworkId]:
    """The networks that have wildcards."""
    return frozenset(each.network for each in state.wildcards)


def _named(needs: Mapping[ids.SandboxId, Need]) -> Collection[network.Network]:
    """The networks of sandboxes that have a server, as far as they have names."""
    used = {net.id: net for need in needs.values() if need.view for net in need.ground.nets}
    return tuple(net for net in used.values() if net.has_names)


def _amended(before: Mapping[K, V], news: Mapping[K, V | None]) -> Mapping[K, V]:
    """`before` with other values; None takes the key away."""
    if not news:
        return before
    after = dict(before)
    for key, value in news.items():
        if value is None:
            after.pop(key, None)
        else:
            after[key] = value
    return after


def unheard(
    state: ClusterState, node: ids.NodeId, daemon: upstreams.DaemonDns, before: Wanted
) -> int:
    """How many objects of `state` must say anew what they need, or how they are called.

    All on networks whose names are to be made from nothing, endpoints that are new or others, and
    all sandboxes with other settings of the daemon.
    """
    tables = before.snapshot.tables
    moved = affected.changed(before.state.endpoints, state.endpoints)
    ends = [end for end in map(state.endpoints.get, moved) if end is not None]
    here = {end.network for end in ends if end.node == node}
    nets = (net for net in state.networks.values() if net.id in here or str(net.id) in tables)
    new = {
        net.id
        for net in nets
        if net.has_names and not table.stands(tables.get(str(net.id)), net, daemon.ttl)
    }
    is_new = before.daemon is not None and before.daemon is not daemon
    boxes = len(state.sandboxes_by_node.get(node, ())) if is_new else 0
    groups = (state.endpoints_by_network, state.services_by_network)
    whole = sum(len(of.get(net, ())) for of in groups for net in new)
    return boxes + whole + sum(end.network not in new for end in ends)


def _need(
    state: ClusterState,
    box: sandbox.Sandbox,
    daemon: upstreams.DaemonDns,
    wild: frozenset[ids.NetworkId],
    before: Need | None,
) -> Need:
    every = state.endpoints_by_sandbox.get(box.id, ())
    ends = tuple(each for each in every if not state.networks[each.network].is_ingress)
    nets = tuple(state.networks[each.network] for each in ends)
    ground = Ground(
        box, daemon, ends, nets, tuple(net.id for net in nets if net.has_names and net.id in wild)
    )
    if before is not None and before.ground.stands(ground):
        return before
    named = tuple(net for net in nets if net.has_names)
    served = upstreams.served(state, box)
    found = upstreams.servers(state, box, daemon) if served else ()
    told = upstreams.for_worker(found)
    zones = upstreams.zones(state, box, daemon) if served else {}
    every_server = (*found, *(each for own in zones.values() for each in own))
    search, ndots = upstreams.searches(state, box, daemon)
    view = snapshot.view(
        box,
        named,
        told,
        ground.wild,
        ttl=daemon.ttl,
        rate=daemon.rate,
        keeps_single=upstreams.keeps_single(box, daemon),
        label=next((net.name for net in named or nets), ""),
        forwarded=daemon.forwarded,
        search=search,
        ndots=ndots,
        routes={zone: upstreams.for_worker(own) for zone, own in zones.items()},
        sealed=upstreams.sealed(state, box),
    )
    return Need(
        ground=ground,
        spot=_spot(box, every_server, daemon.bind, served=served),
        texts=own.Texts(
            resolv=shared.same(resolvconf.render(upstreams.wanted(state, box, daemon))),
            hosts=hosts.render(box, ends),
            link=own.link_name(box),
            elsewhere=_elsewhere(box),
        ),
        view=view if served else None,
    )


def _spot(
    box: sandbox.Sandbox,
    found: tuple[upstreams.Server, ...],
    bind: upstreams.Bind,
    *,
    served: bool,
) -> place.Spot:
    adopted = box.origin is sandbox.Origin.ADOPTED
    return place.Spot(
        box=box.id,
        name=box.name,
        path=box.netns,
        inode=box.netns_inode if adopted else 0,
        outlives=adopted,
        served=served,
        families=_families(found),
        port=resolvconf.PORT if bind is upstreams.Bind.DIRECT else opener.ANY,
    )


def _families(found: tuple[upstreams.Server, ...]) -> frozenset[protocol.Family]:
    """Of those servers that are asked from inside."""
    return frozenset(protocol.Family(each.server.address.version) for each in found if each.inside)


def _elsewhere(box: sandbox.Sandbox) -> foreign.Target | None:
    """The file of its own root filesystem that says the same, if one was asked for."""
    file = box.resolv_conf
    if file.writing is not sandbox.Writing.FILE:
        return None
    return foreign.Target(path=file.path, pid=file.pid, inode=box.netns_inode)


def _is(one: object, other: object) -> bool:
    return one is other

"""The tables and views of this node's sandboxes at one revision, pre-rendered for the workers.

In: the state. Out: what `resolver.protocol` carries; equal inputs give equal digests. Sandboxes
share the table of a network, so memory grows with names and not with sandboxes times names.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from resolver import protocol, records
from sdd.model import ids, network, sandbox
from sdd.state import ClusterState


@dataclass(frozen=True, slots=True)
class Table:
    """The names of one network; `digest` changes exactly when `names` do."""

    digest: str
    names: protocol.Names


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Tables by network id, views by sandbox id."""

    revision: ids.Revision
    tables: Mapping[str, Table] = field(default_factory=dict)
    views: Mapping[str, protocol.View] = field(default_factory=dict)


def build(
    state: ClusterState,
    node: ids.NodeId,
    upstreams: Mapping[ids.SandboxId, tuple[protocol.Upstream, ...]],
    ttl: int,
) -> Snapshot:
    """What the workers of `node` serve at this revision; `ttl` in seconds.

    A sandbox without a network that has names is not served: it has no view.
    """
    views = {}
    wild = {each.network for each in state.records.values() if each.is_wildcard}
    used: dict[ids.NetworkId, network.Network] = {}
    for box in state.sandboxes.values():
        nets = named_networks(state, box)
        if box.node != node or not nets:
            continue
        used |= {net.id: net for net in nets}
        view = _view(box, nets, upstreams.get(box.id, ()), ttl)
        view = msgspec.structs.replace(view, wild=[str(net.id) for net in nets if net.id in wild])
        views[str(box.id)] = msgspec.structs.replace(view, digest=_digest(protocol.encode(view)))
    tables = {str(net.id): _table(records.of_network(state, net, ttl)) for net in used.values()}
    return Snapshot(state.revision, tables, views)


def named_networks(state: ClusterState, box: sandbox.Sandbox) -> tuple[network.Network, ...]:
    """The networks on which `box` finds names, the first to ask first (docker.md N7, G1)."""
    ends = state.endpoints_by_sandbox.get(box.id, ())
    nets = (state.networks[each.network] for each in ends)
    return tuple(net for net in nets if net.has_names)


def _view(
    box: sandbox.Sandbox,
    nets: Sequence[network.Network],
    upstreams: tuple[protocol.Upstream, ...],
    ttl: int,
) -> protocol.View:
    zones = sorted({zone for net in nets for zone in records.zones(net, is_alone=not upstreams)})
    return protocol.View(
        sandbox=box.id,
        digest="",
        tables=[str(net.id) for net in nets],
        suffixes=zones,
        own=records.of_hosts(box.extra_hosts, ttl),
        upstreams=list(upstreams),
        ttl=ttl,
        # Whoever sets ndots has a search list in mind: bare names are meant for it (N15).
        keeps_single=any(option.startswith("ndots:") for option in box.dns.options),
    )


def _table(names: protocol.Names) -> Table:
    ordered = {name: names[name] for name in sorted(names)}
    return Table(_digest(msgspec.msgpack.encode(ordered)), ordered)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()

"""The tables and views of this node's sandboxes at one revision, pre-rendered for the workers.

In: the state. Out: what `resolver.protocol` carries; equal inputs give equal digests. Sandboxes
share the table of a network, so memory grows with names and not with sandboxes times names.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from resolver import alike, protocol
from resolver.message import wire
from resolver.names import records, spelling
from resolver.names.table import Table
from sdd.model import ids, network, sandbox

View = protocol.View


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Tables by network id, views by sandbox id."""

    revision: ids.Revision
    tables: Mapping[str, Table] = field(default_factory=dict)
    views: Mapping[str, protocol.View] = field(default_factory=dict)


def view(
    box: sandbox.Sandbox,
    nets: Sequence[network.Network],
    upstreams: tuple[protocol.Upstream, ...],
    wild: Sequence[ids.NetworkId],
    *,
    ttl: int,
    rate: int,
    keeps_single: bool,
    label: str,
    forwarded: Sequence[str] = (),
    search: Sequence[str] = (),
    ndots: int = 0,
    routes: Mapping[str, Sequence[protocol.Upstream]] = MappingProxyType({}),
    sealed: bool = False,
) -> View:
    """What `box` sees: `nets` are those that have names, the first to ask first; `ttl` in seconds.

    The order is the one of its endpoints (docker.md N7, G1). `wild` are those of `nets` that have
    wildcard records; `rate`, `keeps_single`, `label` (its `network`), `forwarded`, `search`,
    `ndots`, `routes` and `sealed` as in `protocol.View`.
    """
    zones = sorted({zone for net in nets for zone in records.zones(net, is_alone=not upstreams)})
    bare = protocol.View(
        sandbox=box.id,
        digest="",
        tables=[str(net.id) for net in nets],
        suffixes=zones,
        own=records.of_hosts(box.extra_hosts, ttl),
        upstreams=list(upstreams),
        ttl=ttl,
        rate=rate,
        keeps_single=keeps_single,
        wild=[str(each) for each in wild],
        network=label,
        forwarded=[wire.to_wire(each) for each in forwarded],
        search=[each for each in map(spelling.wire_name, search) if each],
        ndots=ndots,
        routes={wire.to_wire(zone): list(servers) for zone, servers in routes.items()},
        sealed=sealed,
    )
    return alike.view(msgspec.structs.replace(bare, digest=_digest(protocol.encode(bare))))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()

"""Balancing by nftables: destinations rewritten on output, one transaction per change.

The rules are `nft_rules`'s, their reading `nft_read`'s; here they meet a namespace. Nothing of
other tables is touched, and connections are conntrack's: rewriting the rules moves none of them.
"""

import collections
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lb import plan, table, world
from lb.kernel import (
    conntrack,
    leftovers,
    nft_counts,
    nft_frames,
    nft_netlink,
    nft_read,
    nft_rules,
    nft_slots,
    nft_text,
)
from sdd.linux import namespaces, netlink, nft_compile
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.model.service import Scheduler

Open = collections.Counter[tuple[str, IPAddress, IPAddress]]  # protocol, address, backend


class NftablesKernel:
    """Passes tests/contract/lb_kernel.py on any kernel with nftables.

    `former` is IPVS's family where it may have balanced before us: what it left is cleared away.
    """

    counts_s = 0.5  # each packet is counted at once: this is how soon silence is seen

    def __init__(self, spaces: namespaces.Namespaces, former: int | None = None) -> None:
        self._spaces = spaces
        self._former = former
        self._frames = nft_frames.Frames(spaces, nft_text.frame_of)
        self._slots = nft_slots.Seen()

    async def inode(self, netns: str) -> int:
        """The namespace's number, 0 while there is none."""
        return await self._spaces.run("", lambda: namespaces.inode(netns))

    async def read(
        self, place: table.Place, only: Collection[IPAddress] | None = None
    ) -> table.Table:
        """The table as the kernel holds it."""
        return await self._spaces.run(place.netns, lambda: self._read(place, only))

    def _read(self, place: table.Place, only: Collection[IPAddress] | None) -> table.Table:
        with netlink.Connection(netlink.NETFILTER) as connection:
            found = nft_read.read(connection, only, uplink=place.uplink)
            if only is not None:
                return found
            flaws = [*found.flaws, *self._slots.flaws(connection, place.netns, found)]
        if self._former is not None and leftovers.are_there(self._former):
            flaws.append(table.Flaw(what="services or routes of IPVS are left"))
        return dataclasses.replace(found, flaws=tuple(flaws))

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        """All of `steps` or, when nft refuses, all but the virtual services it refuses."""
        frame = await self._frames.of(place.uplink)
        return await self._spaces.run(place.netns, lambda: self._change(frame, have, steps))

    def _change(
        self, frame: Sequence[netlink.Message], have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        if self._former is not None and plan.Mend(None) in steps:
            leftovers.clear(self._former)
        return _apply(frame, have, steps)

    async def schedulers(self) -> tuple[Scheduler, ...]:
        """All: each is mapped to its nearest (lb/choice.py)."""
        return tuple(Scheduler)

    async def loads(self, place: table.Place) -> tuple[world.Load, ...]:
        """Weights, open connections as conntrack has them, and what the counting chains saw."""
        return await self._spaces.run(place.netns, _loads)

    async def led_to(
        self, place: table.Place, vip: IPAddress, port: int, protocol: Protocol = Protocol.TCP
    ) -> IPAddress | None:
        """As conntrack remembers it."""
        return await self._spaces.run(place.netns, lambda: _led_to(vip, port, _NUMBERS[protocol]))


_NUMBERS = {
    Protocol.TCP: conntrack.TCP,
    Protocol.UDP: conntrack.UDP,
    Protocol.SCTP: conntrack.SCTP,
}


def _led_to(vip: IPAddress, port: int, protocol: int) -> IPAddress | None:
    nowhere = nft_text.NOWHERE.values()
    with netlink.Connection(netlink.NETFILTER) as connection:
        for flow in conntrack.flows(connection, (vip,)):
            if (flow.protocol, flow.source_port) == (protocol, port):
                return vip if flow.backend in nowhere else flow.backend
    return None


def _apply(
    frame: Sequence[netlink.Message], have: table.Table, steps: Sequence[plan.Step]
) -> world.Change:
    after = plan.result(have, steps)
    touched = plan.touched(steps)
    vips = [vip for vip in touched if vip is not None]
    rules = nft_rules.Rules(have, after)
    with netlink.Connection(netlink.NETFILTER) as connection:
        refused = _write(connection, frame, rules, touched) if steps else ()
        _run(connection, nft_counts.cleared(connection, tuple(_gone(have, after, vips))), None)
        stuck = [
            flow
            for flow in conntrack.flows(connection, _departed(steps) | _opened(have, after, vips))
            if not _may_stay(flow, after.services.get(flow.vip))
        ]
        # What is over is not among them: for a minute the backend still holds those ports, and only
        # conntrack's memory keeps a connection to another virtual address from arriving there with
        # the same ones, where its SYN would be dropped as too old (PAWS).
        conntrack.forget(connection, stuck)
        shown = nft_read.read(connection, vips, after.services, rules.records)
        return world.Change(refusals=refused, shown=shown)


def _write(
    connection: netlink.Connection,
    frame: Sequence[netlink.Message],
    rules: nft_rules.Rules,
    touched: Collection[IPAddress | None],
) -> tuple[world.Refusal, ...]:
    is_there = nft_netlink.present(connection)
    if not rules.after.services:
        return _run(connection, nft_rules.remove() if is_there else (), None)
    if not is_there or None in touched:
        return _run(connection, rules.rebuild(frame, is_there=is_there), None)
    vips = [vip for vip in touched if vip is not None]
    if not _run(connection, rules.changes(vips), None):
        return ()
    # Nothing was taken: find out what the kernel refuses, and take all the others.
    each = [_run(connection, rules.changes((vip,), anew=True), vip) for vip in vips]
    return tuple(refusal for one in each for refusal in one)


def _run(
    connection: netlink.Connection, messages: Iterable[netlink.Message], vip: IPAddress | None
) -> tuple[world.Refusal, ...]:
    result = connection.transaction(nft_compile.SUBSYSTEM, messages)
    if not result.error:
        return ()
    return (world.Refusal(vip=vip, sentence=f"nftables refuses: {result}", code="SDD-LB-NFT"),)


def _departed(steps: Sequence[plan.Step]) -> frozenset[IPAddress]:
    """The virtual addresses some of whose connections may lead to the wrong place now."""
    leaving = [
        step
        for step in steps
        if isinstance(step, plan.AddService | plan.RemoveService | plan.RemoveBackend)
        or (isinstance(step, plan.SetWeight) and not step.backend.weight)
    ]
    return frozenset(vip for vip in plan.touched(leaving) if vip is not None)


def _opened(
    have: table.Table, after: table.Table, vips: Collection[IPAddress]
) -> frozenset[IPAddress]:
    """Those that took nothing before: what was refused there is given to a backend now."""
    return frozenset(
        vip
        for vip in vips
        if vip in have.services
        and vip in after.services
        and not have.services[vip].open
        and after.services[vip].open
    )


def _gone(
    have: table.Table, after: table.Table, vips: Collection[IPAddress]
) -> Iterator[nft_counts.Pair]:
    """The backends that left, each with its virtual address; of a service that left, all."""
    for vip in vips:
        before, now = have.services.get(vip), after.services.get(vip)
        if before is None and now is not None:
            continue
        was = before.weights.keys() if before else set()
        left = was - now.weights.keys() if now else was | {nft_text.NOWHERE[vip.version]}
        yield from ((vip, each) for each in left)


def _may_stay(flow: conntrack.Flow, service: table.VirtualService | None) -> bool:
    """TCP stays with a backend of weight 0 (it drains), datagrams do not: they never end."""
    weight = None if service is None else service.weights.get(flow.backend)
    if weight is None:
        return False
    return weight > 0 or flow.protocol in (conntrack.TCP, conntrack.SCTP)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What there is of connections now, and what there was."""

    active: Open
    every: Open
    counts: Mapping[tuple[str, IPAddress, IPAddress], nft_counts.Count]


def _loads() -> tuple[world.Load, ...]:
    with netlink.Connection(netlink.NETFILTER) as connection:
        found = nft_read.read(connection)
        counted = conntrack.counted(connection, found.services.keys())
        counts = nft_counts.read(connection) if found.services else {}
    active, every = Open(), Open()
    for each, count in counted.items():
        every[_where(each)] += count
        active[_where(each)] += count if each.is_established else 0
    seen = _Seen(active=active, every=every, counts=counts)
    return tuple(
        _load(service, protocol, backend, seen)
        for service in found.services.values()
        for protocol in ("tcp", "udp")
        # As in IPVS, a backend that drains has connections only: no datagrams go there.
        for backend in (service.backends if protocol == "tcp" else service.open) or (None,)
    )


def _where(flow: conntrack.Counted) -> tuple[str, IPAddress, IPAddress]:
    streams = (conntrack.TCP, conntrack.SCTP)
    return "tcp" if flow.protocol in streams else "udp", flow.vip, flow.backend


def _load(
    service: table.VirtualService,
    protocol: str,
    backend: table.Backend | None,
    seen: _Seen,
) -> world.Load:
    if backend is None:
        return world.Load(
            vip=service.vip,
            protocol=protocol,
            scheduler=service.scheduler,
            persistence_s=service.persistence_s,
        )
    where = (protocol, service.vip, backend.address)
    count = seen.counts.get(where, nft_counts.NOTHING)
    return world.Load(
        vip=service.vip,
        protocol=protocol,
        scheduler=service.scheduler,
        persistence_s=service.persistence_s,
        address=backend.address,
        weight=backend.weight,
        active=seen.active[where],
        inactive=seen.every[where] - seen.active[where],
        **dataclasses.asdict(count),
    )

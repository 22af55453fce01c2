"""Balancing by nftables: destinations rewritten on output, one transaction per change.

The rules are `nft_rules`'s, their reading `nft_read`'s; here they meet a namespace. Nothing of
other tables is touched, and connections are conntrack's: rewriting the rules moves none of them.
"""

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lb import plan, table, world
from lb.kernel import (
    conntrack,
    leftovers,
    legible,
    nft_change,
    nft_counts,
    nft_frames,
    nft_netlink,
    nft_patterns,
    nft_prints,
    nft_read,
    nft_slots,
    nft_text,
    nft_trust,
)
from sdd import errors
from sdd.linux import namespaces, netlink
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.model.service import Scheduler

_LATEST = 4  # as many different changes as sandboxes beside each other may be asked for
Open = collections.Counter[tuple[str, IPAddress, IPAddress]]  # protocol, address, backend


class NftablesKernel:
    """Passes tests/contract/lb_kernel.py on any kernel with nftables.

    `former` is IPVS's family where it may have balanced before us: what it left is cleared away.
    """

    counts_s = 0.5  # each packet is counted at once: this is how soon silence is seen

    def __init__(self, spaces: namespaces.Namespaces, former: int | None = None) -> None:
        self._spaces = spaces
        self._former = former
        self._frames = nft_frames.Frames(spaces, nft_text.frame_of, (nft_text.PORTED,))
        self._patterns = nft_patterns.Patterns(spaces, self._frames)
        self._trust = nft_trust.Trust()
        self._latest: collections.deque[nft_change.Change] = collections.deque(maxlen=_LATEST)

    def foresee(self, services: Iterable[table.VirtualService]) -> None:
        """Nothing: a table's transaction is put together as a whole."""

    async def inode(self, place: table.Place) -> int:
        """The namespace's number, 0 while there is none."""
        return await namespaces.wait_inode(place.netns)

    async def read(
        self,
        place: table.Place,
        only: Collection[IPAddress] | None = None,
        likely: Mapping[IPAddress, table.VirtualService] = world.NOTHING_KNOWN,
    ) -> table.Table:
        """The table as the kernel holds it; what hands may have changed is compared."""
        del likely  # what a set lists is an element each, and soon read
        doubts: list[_Doubt] = []
        found = await self._spaces.run(
            place.netns, lambda: legible.legible(lambda: self._read(place, only, doubts))
        )
        for each in doubts:
            found = await self._compared(place, found, each)
        return found

    def _read(
        self, place: table.Place, only: Collection[IPAddress] | None, doubts: list["_Doubt"]
    ) -> table.Table:
        """Adds to `doubts` what has yet to be compared."""
        with netlink.Connection(netlink.NETFILTER) as connection:
            if only is not None:
                return nft_read.read(connection, only)
            found = self._whole(connection, place, doubts)
        if self._former is not None and leftovers.are_there(self._former):
            left = table.Flaw(what="services or routes of IPVS are left")
            return dataclasses.replace(found, flaws=(*found.flaws, left))
        return found

    def _whole(
        self, connection: netlink.Connection, place: table.Place, doubts: list["_Doubt"]
    ) -> table.Table:
        at, trust = nft_trust.now(connection, place.netns), self._trust
        if not nft_netlink.present(connection):
            return table.EMPTY
        rules = nft_netlink.rules(connection)
        found = nft_read.whole(connection, rules, place.uplink)
        is_right = trust.is_right(place.netns, at)
        if found.flaws or (is_right and trust.has_look(place.netns)):
            return found
        look = nft_prints.outside(connection, rules)
        if is_right:
            if nft_trust.now(connection, place.netns) == at:  # so what was listed is what was right
                trust.saw(place.netns, at, look)
            return found
        prints = nft_prints.of_sets(connection, (nft_text.PORTED,))
        if not trust.looked_so(place.netns, at, look):
            prints |= nft_prints.of_chains(connection, rules)
        doubts.append(_Doubt(at, look, prints))
        slots = tuple(nft_slots.flaws(connection, found.services.values()))
        return dataclasses.replace(found, flaws=slots)

    async def _compared(
        self, place: table.Place, found: table.Table, doubt: "_Doubt"
    ) -> table.Table:
        """`found`, with what is wrong with what was doubtful."""
        try:
            flaws = await self._patterns.flaws(place.uplink, found.services, doubt.prints)
        except errors.SddError:
            return found  # with what we would write there: the next look tries again
        if not flaws and not found.flaws:
            self._trust.saw(place.netns, doubt.at, doubt.look)
        return dataclasses.replace(found, flaws=(*found.flaws, *flaws))

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        """All of `steps` or, when nft refuses, all but the virtual services it refuses."""
        change = self._change(await self._frames.of(place.uplink), have, steps)
        return await self._spaces.run(place.netns, lambda: self._make(place.netns, have, change))

    def _change(
        self, frame: nft_change.Frame, have: table.Table, steps: Sequence[plan.Step]
    ) -> nft_change.Change:
        """The same one for all sandboxes of which the very same is asked."""
        found = next((each for each in self._latest if each.is_of(frame, have, steps)), None)
        if found is None:
            found = nft_change.Change(frame, have, steps)
            self._latest.append(found)
        return found

    def _make(self, netns: str, have: table.Table, change: nft_change.Change) -> world.Change:
        if self._former is not None and plan.Mend(None) in change.steps:
            leftovers.clear(self._former)
        return change.make(netns, have, self._trust)

    async def schedulers(self) -> tuple[Scheduler, ...]:
        """All: each is mapped to its nearest (lb/choice.py)."""
        return tuple(Scheduler)

    async def loads(self, place: table.Place) -> tuple[world.Load, ...]:
        """Weights, open connections as conntrack has them, and what the counting chains saw."""
        return await self._spaces.run(place.netns, lambda: legible.counts(_loads))

    async def counters(self, place: table.Place) -> tuple[world.Load, ...]:
        """The same without connections, whose list takes the kernel milliseconds."""
        return await self._spaces.run(
            place.netns, lambda: legible.counts(lambda: _loads(connections=False))
        )

    async def connections(
        self, place: table.Place, vips: Collection[IPAddress]
    ) -> tuple[world.Load, ...]:
        """Without what the chains counted: the sets are listed as a whole or not at all."""
        return await self._spaces.run(place.netns, lambda: legible.counts(lambda: _loads(vips)))

    async def led_to(
        self,
        place: table.Place,
        vip: IPAddress,
        port: int,
        protocol: Protocol = Protocol.TCP,
        client: IPAddress | None = None,
    ) -> IPAddress | None:
        """As conntrack remembers it."""
        return await self._spaces.run(
            place.netns, lambda: _led_to(vip, port, _NUMBERS[protocol], client)
        )


@dataclass(frozen=True, slots=True)
class _Doubt:
    """When that was found of which it is not known whether it is right, and its prints."""

    at: nft_trust.Moment
    look: bytes
    prints: nft_prints.Prints


_NUMBERS = {
    Protocol.TCP: conntrack.TCP,
    Protocol.UDP: conntrack.UDP,
    Protocol.SCTP: conntrack.SCTP,
}


def _led_to(vip: IPAddress, port: int, protocol: int, client: IPAddress | None) -> IPAddress | None:
    nowhere = nft_text.NOWHERE.values()
    with netlink.Connection(netlink.NETFILTER) as connection:
        if client is not None:
            found = conntrack.passed(connection, vip, protocol, (client, port))
            return found.backend if found is not None else None
        for flow in conntrack.flows(connection, (vip,)):
            if (flow.protocol, flow.source_port) == (protocol, port):
                return vip if flow.backend in nowhere else flow.backend
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What there is of connections now, and what there was."""

    active: Open
    every: Open
    counts: Mapping[tuple[str, IPAddress, IPAddress], nft_counts.Count]


def _loads(
    only: Collection[IPAddress] | None = None, *, connections: bool = True
) -> tuple[world.Load, ...]:
    """Of `only`, if given, without counts."""
    with netlink.Connection(netlink.NETFILTER) as connection:
        found = nft_read.read(connection, only)
        vips = found.services.keys() if connections else ()
        counted = conntrack.counted(connection, vips)
        counts = nft_counts.read(connection) if found.services and only is None else {}
    active, every = Open(), Open()
    for each, count in counted.items():
        every[_where(each)] += count
        active[_where(each)] += count if each.is_open else 0
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
        **count._asdict(),
    )

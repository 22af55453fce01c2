"""Balancing by nftables: destinations rewritten on output, one transaction per change.

The rules are `nft_rules`'s, their reading `nft_read`'s; here they meet a namespace. Nothing of
other tables is touched, and connections are conntrack's: rewriting the rules moves none of them.
"""

import collections
from collections.abc import Collection, Iterable, Sequence

from lb import plan, table, world
from lb.kernel import conntrack, nft_frame, nft_netlink, nft_read, nft_rules, nft_text
from sdd.linux import namespaces, netlink, nft_compile
from sdd.model.network import IPAddress

Counts = collections.Counter[tuple[IPAddress, IPAddress | None]]


class NftablesKernel:
    """Passes tests/contract/lb_kernel.py on any kernel with nftables."""

    def __init__(self, spaces: namespaces.Namespaces) -> None:
        self._spaces = spaces
        self._frame: Sequence[netlink.Message] = ()

    async def inode(self, netns: str) -> int:
        """The namespace's number, 0 while there is none."""
        return namespaces.inode(netns)

    async def read(
        self, place: table.Place, only: Collection[IPAddress] | None = None
    ) -> table.Table:
        """The table as the kernel holds it."""
        return await self._spaces.run(place.netns, lambda: _read(only))

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        """All of `steps` or, when nft refuses, all but the virtual services it refuses."""
        if not self._frame:
            self._frame = await self._spaces.scratch(
                lambda: nft_compile.messages(nft_text.FRAME, nft_frame.TABLE)
            )
        return await self._spaces.run(place.netns, lambda: _apply(self._frame, have, steps))

    async def loads(self, place: table.Place) -> tuple[world.Load, ...]:
        """Weights, and connections as conntrack counts them; nothing is counted per packet."""
        return await self._spaces.run(place.netns, _loads)

    async def led_to(self, place: table.Place, vip: IPAddress, port: int) -> IPAddress | None:
        """As conntrack remembers it."""
        return await self._spaces.run(place.netns, lambda: _led_to(vip, port))


def _led_to(vip: IPAddress, port: int) -> IPAddress | None:
    with netlink.Connection(netlink.NETFILTER) as connection:
        for flow in conntrack.flows(connection, (vip,)):
            if (flow.protocol, flow.source_port) == (conntrack.TCP, port):
                return flow.backend
    return None


def _read(only: Collection[IPAddress] | None) -> table.Table:
    with netlink.Connection(netlink.NETFILTER) as connection:
        return nft_read.read(connection, only)


def _apply(
    frame: Sequence[netlink.Message], have: table.Table, steps: Sequence[plan.Step]
) -> world.Change:
    after = plan.result(have, steps)
    touched = plan.touched(steps)
    vips = [vip for vip in touched if vip is not None]
    with netlink.Connection(netlink.NETFILTER) as connection:
        refused = _write(connection, frame, have, after, touched) if steps else ()
        stuck = [
            flow
            for flow in conntrack.flows(connection, _departed(steps))
            if not _may_stay(flow, after.services.get(flow.vip))
        ]
        conntrack.forget(connection, stuck)
        return world.Change(refusals=refused, shown=nft_read.read(connection, vips, after.services))


def _write(
    connection: netlink.Connection,
    frame: Sequence[netlink.Message],
    have: table.Table,
    after: table.Table,
    touched: Collection[IPAddress | None],
) -> tuple[world.Refusal, ...]:
    is_there = nft_netlink.present(connection)
    if not after.services:
        return _run(connection, nft_rules.remove() if is_there else (), None)
    if not is_there or None in touched:
        return _run(connection, nft_rules.rebuild(frame, after, is_there=is_there), None)
    vips = [vip for vip in touched if vip is not None]
    if not _run(connection, nft_rules.changes(have, after, vips), None):
        return ()
    # Nothing was taken: find out what the kernel refuses, and take all the others.
    each = [_run(connection, nft_rules.changes(have, after, (vip,)), vip) for vip in vips]
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


def _may_stay(flow: conntrack.Flow, service: table.VirtualService | None) -> bool:
    """TCP stays with a backend of weight 0 (it drains), datagrams do not: they never end."""
    weight = None if service is None else service.weights.get(flow.backend)
    if weight is None:
        return False
    return weight > 0 or flow.protocol in (conntrack.TCP, conntrack.SCTP)


def _loads() -> tuple[world.Load, ...]:
    with netlink.Connection(netlink.NETFILTER) as connection:
        found = nft_read.read(connection)
        flows = conntrack.flows(connection, found.services.keys())
    active: Counts = collections.Counter(
        (each.vip, each.backend) for each in flows if each.is_established
    )
    every: Counts = collections.Counter((each.vip, each.backend) for each in flows)
    return tuple(
        world.Load(
            vip=service.vip,
            protocol="any",
            scheduler=service.scheduler,
            persistence_s=service.persistence_s,
            address=address,
            weight=service.weights.get(address, 0) if address else 0,
            active=active[service.vip, address],
            inactive=every[service.vip, address] - active[service.vip, address],
        )
        for service in found.services.values()
        for address in (tuple(service.weights) or (None,))
    )

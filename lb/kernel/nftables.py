"""Balancing by nftables: destinations rewritten on output, one transaction per change.

The rules are `nft_text`'s, their reading `nft_read`'s; here they meet a namespace. Nothing of other
tables is touched, and connections are conntrack's: rewriting the rules moves none of them.
"""

from collections.abc import Collection, Sequence

from lb import plan, table, world
from lb.kernel import nft_read, nft_text
from sdd import errors
from sdd.linux import namespaces, netlink, nft
from sdd.model.network import IPAddress


class NftablesKernel:
    """Passes tests/contract/lb_kernel.py on any kernel with nftables."""

    def __init__(self, spaces: namespaces.Namespaces) -> None:
        self._spaces = spaces

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
    ) -> tuple[world.Refusal, ...]:
        """All of `steps` or, when nft refuses, all but the virtual services it refuses."""
        return await self._spaces.run(place.netns, lambda: _apply(have, steps))


def _read(only: Collection[IPAddress] | None) -> table.Table:
    with netlink.Connection(netlink.NETFILTER) as connection:
        return nft_read.read(connection, only)


def _apply(have: table.Table, steps: Sequence[plan.Step]) -> tuple[world.Refusal, ...]:
    if not steps:
        return ()
    after = plan.result(have, steps)
    vips = [vip for vip in plan.touched(steps) if vip is not None]
    with netlink.Connection(netlink.NETFILTER) as connection:
        fresh = not nft_read.present(connection) or plan.Mend(None) in steps
    with nft.Nft() as rules:
        if not after.services:
            return _whole(rules, nft_text.REMOVE)
        if fresh:
            return _whole(rules, nft_text.rebuild(after))
        try:
            rules.run(nft_text.changes(have, after, vips))
        except errors.KernelRefused:
            return tuple(refusal for vip in vips for refusal in _single(rules, have, after, vip))
    return ()


def _whole(rules: nft.Nft, text: str) -> tuple[world.Refusal, ...]:
    try:
        rules.run(text)
    except errors.KernelRefused as exc:
        return (_refusal(None, exc),)
    return ()


def _single(
    rules: nft.Nft, have: table.Table, after: table.Table, vip: IPAddress
) -> tuple[world.Refusal, ...]:
    try:
        rules.run(nft_text.changes(have, after, (vip,)))
    except errors.KernelRefused as exc:
        return (_refusal(vip, exc),)
    return ()


def _refusal(vip: IPAddress | None, exc: errors.KernelRefused) -> world.Refusal:
    return world.Refusal(vip=vip, sentence=exc.sentence, hint=exc.hint, code="SDD-LB-NFT")

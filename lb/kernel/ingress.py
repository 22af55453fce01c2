"""A balancing kernel, and around it what only ports with mode=ingress need of a namespace.

In members the ways back to the ingress sandboxes, in an ingress sandbox that it forwards at all.
What balances is the inner kernel's business.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from lb import plan, table, world
from lb.back import DAMAGED, Back
from lb.kernel import nft_prints, nft_trust, ways_back
from sdd import fence
from sdd.linux import namespaces, netlink
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.model.service import Scheduler

# It asks who has a member's address from its own one beside it, also when it checks the member
# from the outside: members may not answer strangers there (arp_announce, fib_validate_source).
_SWITCHES = MappingProxyType(
    {
        Path("/proc/sys/net/ipv4/ip_forward"): "1",
        Path("/proc/sys/net/ipv6/conf/all/forwarding"): "1",
        Path("/proc/sys/net/ipv4/conf/all/arp_announce"): "2",
    }
)


class IngressKernel:
    """Passes the suites of `inner`, and tests/contract/lb_back.py."""

    def __init__(self, spaces: namespaces.Namespaces, inner: world.Kernel) -> None:
        self._spaces = spaces
        self._inner = inner
        self._bare: dict[str, int] = {}  # namespaces that were seen without ways back
        self._trust = nft_trust.Trust()

    @property
    def counts_s(self) -> float:
        """As the inner kernel."""
        return self._inner.counts_s

    def foresee(self, services: Iterable[table.VirtualService]) -> None:
        """As the inner kernel."""
        self._inner.foresee(services)

    async def inode(self, place: table.Place) -> int:
        """The namespace's number, 0 while there is none."""
        return await self._inner.inode(place)

    async def read(
        self,
        place: table.Place,
        only: Collection[IPAddress] | None = None,
        likely: Mapping[IPAddress, table.VirtualService] = world.NOTHING_KNOWN,
    ) -> table.Table:
        """The inner kernel's table; a full reading tells of ways back and forwarding as well."""
        found = await self._inner.read(place, only, likely)
        if only is not None:
            return found
        flaws = found.flaws
        if place.uplink and not await self._spaces.run(place.netns, _forwards):
            flaws = (*flaws, table.Flaw(what="its settings are not those that forwarding needs"))
        return replace(found, flaws=flaws, back=await self._back(place))

    async def apply(
        self, place: table.Place, have: table.Table, steps: Sequence[plan.Step]
    ) -> world.Change:
        """As the inner kernel, and the way back if it is among the steps."""
        inner = steps  # the very same ones, mostly: the inner kernel may know them
        if any(isinstance(each, plan.SetBack) for each in steps):
            inner = [each for each in steps if not isinstance(each, plan.SetBack)]
        if place.uplink and steps:
            await self._spaces.run(place.netns, _forward)
        done = world.Change(shown=table.EMPTY)
        if inner:
            done = await self._inner.apply(place, have, inner)
        refusals = list(done.refusals)
        for each in steps:
            if isinstance(each, plan.SetBack):
                refusals += await self._set(place, each.back)
        return replace(done, refusals=tuple(refusals))

    async def schedulers(self) -> tuple[Scheduler, ...]:
        """Those of the inner kernel."""
        return await self._inner.schedulers()

    async def loads(self, place: table.Place) -> tuple[world.Load, ...]:
        """The inner kernel's counts."""
        return await self._inner.loads(place)

    async def counters(self, place: table.Place) -> tuple[world.Load, ...]:
        """The inner kernel's, without connections where that is cheaper."""
        return await self._inner.counters(place)

    async def connections(
        self, place: table.Place, vips: Collection[IPAddress]
    ) -> tuple[world.Load, ...]:
        """The inner kernel's."""
        return await self._inner.connections(place, vips)

    async def led_to(
        self,
        place: table.Place,
        vip: IPAddress,
        port: int,
        protocol: Protocol = Protocol.TCP,
        client: IPAddress | None = None,
    ) -> IPAddress | None:
        """As the inner kernel knows it."""
        return await self._inner.led_to(place, vip, port, protocol, client)

    async def _back(self, place: table.Place) -> Back | None:
        """Most sandboxes never have one: those are looked at once."""
        inode = await self._inner.inode(place)
        if not place.is_member and inode and self._bare.get(place.netns) == inode:
            return None
        back = await self._spaces.run(place.netns, lambda: self._read(place.netns))
        if isinstance(back, _Doubt):
            back = await self._compared(place.netns, back)
        if back is None:
            self._bare[place.netns] = inode
        else:
            self._bare.pop(place.netns, None)
        return back

    def _read(self, netns: str) -> "Back | _Doubt | None":
        """What is there; its rules may do something else than what they were made of."""
        with netlink.Connection(netlink.NETFILTER) as connection:
            at, back = nft_trust.now(connection, netns), ways_back.read()
            if back is None or back is DAMAGED or self._trust.is_right(netns, at):
                return back
            look, prints = ways_back.look(connection)
        if not self._trust.looked_so(netns, at, look):
            return _Doubt(back, at, look, prints)
        self._trust.saw(netns, at, look)
        return back

    async def _compared(self, netns: str, doubt: "_Doubt") -> Back:
        """As `doubt` says, unless its rules are others."""
        wanted = await self._spaces.scratch(lambda: ways_back.wanted(doubt.back))
        if wanted != doubt.prints:
            return DAMAGED
        self._trust.saw(netns, doubt.at, doubt.look)
        return doubt.back

    async def _set(self, place: table.Place, want: Back | None) -> tuple[world.Refusal, ...]:
        self._bare.pop(place.netns, None)
        return await self._spaces.run(place.netns, lambda: self._written(place.netns, want))

    def _written(self, netns: str, want: Back | None) -> tuple[world.Refusal, ...]:
        with netlink.Connection(netlink.NETFILTER) as connection:
            before = nft_trust.now(connection, netns)
            refused = ways_back.write(want, anew=not self._trust.is_right(netns, before))
            if refused:
                return refused
            at = nft_trust.now(connection, netns)
            if ways_back.read() != want:
                return (world.Refusal(vip=None, sentence=_UNSEEN, code="SDD-LB-UNSEEN"),)
            look, _ = ways_back.look(connection)
            # One transaction is ours: what was seen since is what it made.
            is_ours = at.generation == before.generation + 1
            if is_ours and nft_trust.now(connection, netns) == at:
                self._trust.saw(netns, at, look)
        return ()


@dataclass(frozen=True, slots=True)
class _Doubt:
    """What a table says it was made of, when, how it looked from outside, and its prints."""

    back: Back
    at: nft_trust.Moment
    look: bytes
    prints: nft_prints.Prints


_UNSEEN = "the kernel took the way back to the ingress sandbox but does not show it"


def _forwards() -> bool:
    return not _unset()


def _forward() -> None:
    for each, value in _unset().items():
        with fence.writing():
            each.write_text(value)


def _unset() -> dict[Path, str]:
    """Those that are not as they should be, and there; where IPv6 is off, its own are not."""
    return {
        each: value
        for each, value in _SWITCHES.items()
        if each.exists() and each.read_text().strip() != value
    }

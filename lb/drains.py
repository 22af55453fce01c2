"""Ends memberships that are leaving: when their connections have ended, or their time is up.

In: the newest state, the kernel's counts and the clock. Out: `finish` calls. What is waited for is
in the state, so a daemon that was restarted in between goes on where it was.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Never

from lb import table, world
from lb.desired import Wanted, desired, member_on, nothing
from sdd import errors
from sdd.model import ids, service
from sdd.model.network import IPAddress
from sdd.reconcile import Slot
from sdd.state import ClusterState, MemberKey

Finish = Callable[[ids.ServiceId, ids.EndpointId], Awaitable[None]]

# How soon after its last connection a member is gone, and the head start of the balancer, which
# must have taken the member out before its connections are counted for the first time.
POLL_S = 0.1
IDLE_S = 3600.0

_Counts = Counter[tuple[IPAddress, IPAddress]]  # (virtual address, backend) → live connections


class Drains:
    """`clock` is in seconds since the epoch, as `Member.drains_until` is."""

    def __init__(
        self, finish: Finish, kernel: world.Kernel, node: ids.NodeId, clock: Callable[[], float]
    ) -> None:
        self._finish = finish
        self._kernel = kernel
        self._node = node
        self._clock = clock
        self._since: dict[MemberKey, float] = {}  # when this object first saw it leaving

    async def run(self, slot: Slot) -> Never:
        """Watch over whoever the newest state says, for ever; ends by cancellation only."""
        while True:
            state = await slot.next(POLL_S if self._since else IDLE_S)
            if state is not None:
                await self._look(state)

    async def _look(self, state: ClusterState) -> None:
        now = self._clock()
        every = leaving(state, self._node)
        self._since = {key: self._since.get(key, now) for key in every}
        members = {key: each for key, each in every.items() if now - self._since[key] >= POLL_S}
        if not members:
            return
        derived = desired(state, nothing(self._node)).sandboxes.values()
        counts = await self._counted(derived, {each.service for each in members.values()})
        for (of, end), member in members.items():
            if now >= member.drains_until or not _connections(state, member, counts):
                try:
                    await self._finish(of, end)
                except errors.SddError:
                    continue  # tried again at the next poll

    async def _counted(
        self, sandboxes: Collection[Wanted], services: set[ids.ServiceId]
    ) -> _Counts:
        counts: _Counts = Counter()
        for want in sandboxes:
            if services.isdisjoint(want.owners.values()):
                continue
            for load in await self._loads(want.place):
                if load.address is not None:
                    counts[load.vip, load.address] += load.active
        return counts

    async def _loads(self, place: table.Place) -> tuple[world.Load, ...]:
        try:
            return await self._kernel.loads(place)
        except errors.SddError:
            return ()  # the namespace is gone, and its connections with it


def leaving(state: ClusterState, node: ids.NodeId) -> dict[MemberKey, service.Member]:
    """The members of this node that drain."""
    return {
        key: member
        for key, member in state.members.items()
        if member.drains_until and member.node == node
    }


def _connections(state: ClusterState, member: service.Member, counts: _Counts) -> int:
    svc = state.services[member.service]
    ends = [member_on(state, member, is_ingress=each) for each in (False, True)]
    hosts = [host for end in ends if end is not None for host in end.hosts]
    return sum(counts[vip, host] for vip in (*svc.vips, *svc.ingress_vips) for host in hosts)

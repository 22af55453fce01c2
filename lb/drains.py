"""Ends memberships that are leaving: when their connections have ended, or their time is up.

In: the newest state, what sandboxes and the host count, and the clock. Out: `finish` calls. What is
waited for is in the state, so a daemon that was restarted in between goes on where it was.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Never

from lb import world
from lb.derived import Derived
from lb.desired import member_on, nothing
from lb.ports.way import Way, ways
from sdd import errors
from sdd.linux import cost
from sdd.model import ids, service
from sdd.model.network import IPAddress
from sdd.model.port import Protocol
from sdd.reconcile import Slot
from sdd.state import ClusterState, MemberKey

Finish = Callable[[ids.ServiceId, ids.EndpointId], Awaitable[None]]
# Of members, each with the ways by which the host leads straight to it: who is not idle.
Straight = Callable[[Mapping[MemberKey, Collection[Way]]], Awaitable[Collection[MemberKey]]]

# How soon after its last connection a member is gone, and the head start of the balancer.
POLL_S = 0.1
# Where many sandboxes have to be asked, that takes a tenth of a processor and no poll comes sooner.
PART = 10
LONGEST_S = 5.0  # somebody waits
IDLE_S = 3600.0


class _Counted(NamedTuple):
    """Who is `busy`: (virtual address, backend) that has connections, or may still get some.

    Not all of those at addresses that are `unsure`.
    """

    busy: set[tuple[IPAddress, IPAddress]]
    unsure: set[IPAddress]


class _Seen(NamedTuple):
    """A member that leaves: `until` as in the state, the others by the steady clock.

    `first` is when it was seen at first, `ends` when its time is up.
    """

    until: float
    first: float
    ends: float


class Drains:
    """`clock` is in seconds since the epoch, as `Member.drains_until` is.

    It is read when a member is first seen to leave: from then on `steady` counts, which nobody can
    set.
    """

    def __init__(
        self,
        finish: Finish,
        kernel: world.Kernel,
        node: ids.NodeId,
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
        *,
        straight: Straight,
        derived: Derived | None = None,
    ) -> None:
        self._finish = finish
        self._kernel = kernel
        self._straight = straight
        self._node = node
        self._clock = clock
        self._steady = steady
        self._seen: dict[MemberKey, _Seen] = {}
        self._nearest = math.inf  # by the steady clock: when the next one's time is up
        self._due = 0.0  # in the loop's time: when connections are to be counted
        self._derived = derived or Derived(node)
        self._desired = nothing(node)

    async def run(self, slot: Slot) -> Never:
        """Watch over whoever the newest state says, for ever; ends by cancellation only."""
        with cost.counted() as spent:
            while True:
                state = await slot.next(self._pause_s())
                if state is not None:
                    await self._look(state, spent)

    def _pause_s(self) -> float:
        """Until the next poll, or until somebody's time is up."""
        if not self._seen:
            return IDLE_S
        return max(0.0, min(self._due - _loop_s(), self._nearest - self._steady()))

    def _sight(self, key: MemberKey, member: service.Member, now: float) -> _Seen:
        """As before, or anew where its time was changed."""
        before = self._seen.get(key)
        if before is not None and before.until == member.drains_until:
            return before
        ends = now + member.drains_until - self._clock()
        return _Seen(member.drains_until, before.first if before else now, ends)

    async def _look(self, state: ClusterState, spent: cost.Cost) -> None:
        now = self._steady()
        every = leaving(state, self._node)
        self._seen = {key: self._sight(key, member, now) for key, member in every.items()}
        over = [key for key, seen in self._seen.items() if now >= seen.ends]
        for key in over:
            await self._end(key)  # nobody needs to be counted for that
        rest = {key: member for key, member in every.items() if key not in over}
        self._nearest = min((self._seen[key].ends for key in rest), default=math.inf)
        if _loop_s() < self._due:
            return  # a new state came in between
        before_s = spent.seconds
        members = {key: each for key, each in rest.items() if now - self._seen[key].first >= POLL_S}
        if members:
            await self._end_idle(state, members, self._nearest - now, spent)
        pause_s = min(LONGEST_S, PART * (spent.seconds - before_s))
        self._due = _loop_s() + max(POLL_S, pause_s)

    async def _end_idle(
        self,
        state: ClusterState,
        members: Mapping[MemberKey, service.Member],
        left_s: float,
        spent: cost.Cost,
    ) -> None:
        """Those of `members` to whom nobody is connected, found out in `left_s`."""
        with spent.here():
            self._desired = self._derived.of(state)
        services = [state.services[each] for each in {one.service for one in members.values()}]
        try:
            # To count takes its time beside many sandboxes; whose time is up does not wait for it.
            async with asyncio.timeout(min(IDLE_S, left_s)):
                counted = await self._counted({vip for each in services for vip in _vips(each)})
                reached = await self._straight(
                    {key: _ways(state, member) for key, member in members.items()}
                )
        except (errors.SddError, OSError):  # a TimeoutError is one, too
            return
        for key, member in members.items():
            if key not in reached and _is_idle(state, member, counted):
                await self._end(key)

    async def _end(self, key: MemberKey) -> None:
        with contextlib.suppress(errors.SddError):  # tried again at the next poll
            await self._finish(*key)

    async def _counted(self, wanted: AbstractSet[IPAddress]) -> _Counted:
        found = _Counted(set(), set())
        for want in self._desired.sandboxes.values():
            vips = wanted & want.owners.keys()
            if not vips:
                continue
            try:
                loads = await self._kernel.connections(want.place, vips)
            except errors.NotFound:
                continue  # the namespace is gone, and its connections with it
            except (errors.SddError, OSError):
                found.unsure.update(vips)  # who cannot be counted may have connections
                continue
            found.unsure.update(vips.difference(load.vip for load in loads))
            for load in loads:
                if load.address is not None and (load.active or load.weight):
                    found.busy.add((load.vip, load.address))
        return found


def _loop_s() -> float:
    return asyncio.get_running_loop().time()


def leaving(state: ClusterState, node: ids.NodeId) -> dict[MemberKey, service.Member]:
    """The members of this node that drain."""
    return {
        (member.service, member.endpoint): member
        for member in state.draining
        if member.node == node
    }


def _ways(state: ClusterState, member: service.Member) -> Collection[Way]:
    """Straight to the member by ports of its service that have connections."""
    end = state.endpoints.get(member.endpoint)
    found = ways(state.services[member.service], (end,) if end else ())
    return frozenset(way for way in found if way.bind.protocol is not Protocol.UDP)


def _is_idle(state: ClusterState, member: service.Member, counted: _Counted) -> bool:
    """Whether it is certain that no sandbox has connected to it, and none can any more."""
    svc = state.services[member.service]
    ends = [member_on(state, member, is_ingress=each) for each in (False, True)]
    hosts = [host for end in ends if end is not None for host in end.hosts]
    vips = _vips(svc)
    return counted.unsure.isdisjoint(vips) and counted.busy.isdisjoint(
        (vip, host) for vip in vips for host in hosts
    )


def _vips(svc: service.Service) -> tuple[IPAddress, ...]:
    return (*svc.vips, *svc.ingress_vips)

"""Completes what a command began and did not end: the daemon was killed, or gave up, in between.

In: the newest state, which says what is being removed or disconnected, and until when its command
has time. Out: the same commands again. So a sandbox is never left without its memberships only.
Addresses on `ingress` that no port leads to any more are ended here too, when whoever was connected
has had the time of a drain.
"""

import asyncio
from collections.abc import Callable
from typing import Never

from sdd import errors
from sdd.control import members
from sdd.control.commands import Commands
from sdd.model import endpoint, ids, sandbox, service
from sdd.reconcile import Slot
from sdd.state import ClusterState

IDLE_S = 3600.0
PACE_S = 1.0  # between two tries at what could not be removed

_Leaving = sandbox.Sandbox | endpoint.Endpoint | service.Service


class Departures:
    """Of one node. `clock` is in seconds since the epoch, as `leaves_at` is."""

    def __init__(self, commands: Commands, node: ids.NodeId, clock: Callable[[], float]) -> None:
        self._commands = commands
        self._node = node
        self._clock = clock
        # When each has had its time, by the loop's clock.
        self._ends: dict[tuple[str, float], float] = {}

    async def run(self, slot: Slot) -> Never:
        """Watch over whatever the newest state says, for ever; ends by cancellation only."""
        wait_s = IDLE_S
        while True:
            state = await slot.next(wait_s)
            wait_s = IDLE_S if state is None else await self._look(state, slot)

    async def _look(self, state: ClusterState, slot: Slot) -> float:
        """Seconds until the next look."""
        for each in [each for each, left_s in self._left(state) if left_s <= 0]:
            # Completing took its time: what was disconnected may be connected anew meanwhile.
            state = await slot.next(0) or state
            if _key(each) in map(_key, self._leaving(state)):
                await self._complete(each)
        times = [left_s for _, left_s in self._left(state)]
        return max(PACE_S, min(times)) if times else IDLE_S

    def _left(self, state: ClusterState) -> list[tuple[_Leaving, float]]:
        """What leaves this node, and how many seconds more its command has."""
        mine = self._leaving(state)
        now, at = self._clock(), asyncio.get_running_loop().time()
        self._ends = {_key(each): self._end(each, now, at) for each in mine}
        return [(each, min(_at(each) - now, self._ends[_key(each)] - at)) for each in mine]

    def _leaving(self, state: ClusterState) -> list[_Leaving]:
        mine = (each for each in state.departing if each.node == self._node)
        return [*mine, *(each for each in state.ingress_services if each.ingress_leaves_at)]

    def _end(self, what: _Leaving, now: float, at: float) -> float:
        """None has longer: the host's clock may have been set back since it began."""
        most_s = what.drain_s if isinstance(what, service.Service) else members.COMPLETED_S
        left = min(_at(what) - now, most_s)
        return self._ends.get(_key(what), at + left)

    async def _complete(self, what: _Leaving) -> None:
        try:
            if isinstance(what, sandbox.Sandbox):
                await self._commands.remove_sandbox(what.id)
            elif isinstance(what, service.Service):
                await self._commands.ingress_ended(what.id)
            else:
                await self._commands.disconnect(what.network, what.sandbox)
        except errors.SddError:
            return  # it is gone meanwhile, or the next look tries again


def _key(what: _Leaving) -> tuple[str, float]:
    """One removal of one thing."""
    return what.id, _at(what)


def _at(what: _Leaving) -> float:
    return what.ingress_leaves_at if isinstance(what, service.Service) else what.leaves_at

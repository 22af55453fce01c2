"""Completes what a command began and did not end: the daemon was killed, or gave up, in between.

In: the newest state, which says what is being removed or disconnected, and until when its command
has time. Out: the same commands again. So a sandbox is never left without its memberships only.
"""

from collections.abc import Callable
from typing import Never

from sdd import errors
from sdd.control.commands import Commands
from sdd.model import endpoint, ids, sandbox
from sdd.reconcile import Slot
from sdd.state import ClusterState

IDLE_S = 3600.0
PACE_S = 1.0  # between two tries at what could not be removed


class Departures:
    """Of one node. `clock` is in seconds since the epoch, as `leaves_at` is."""

    def __init__(self, commands: Commands, node: ids.NodeId, clock: Callable[[], float]) -> None:
        self._commands = commands
        self._node = node
        self._clock = clock

    async def run(self, slot: Slot) -> Never:
        """Watch over whatever the newest state says, for ever; ends by cancellation only."""
        wait_s = IDLE_S
        while True:
            state = await slot.next(wait_s)
            wait_s = IDLE_S if state is None else await self._look(state)

    async def _look(self, state: ClusterState) -> float:
        """Seconds until the next look."""
        mine = [each for each in state.departing if each.node == self._node]
        now = self._clock()
        for each in mine:
            if each.leaves_at <= now:
                await self._complete(each)
        times = [each.leaves_at - now for each in mine]
        return max(PACE_S, min(times)) if times else IDLE_S

    async def _complete(self, what: sandbox.Sandbox | endpoint.Endpoint) -> None:
        try:
            if isinstance(what, sandbox.Sandbox):
                await self._commands.remove_sandbox(what.id)
            else:
                await self._commands.disconnect(what.network, what.sandbox)
        except errors.SddError:
            return  # it is gone meanwhile, or the next look tries again

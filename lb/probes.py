"""Checks the members of this node and records transitions: one task per checked member.

In: the newest state. Out: `record` calls, made only when a status changes. How to dial is `dial`'s
business, when a status turns is `judge`'s, who is checked is `checks`'.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never

from lb import dial as dials
from lb import judge
from lb.checks import Check, checks, status
from sdd import errors
from sdd.model import health, ids
from sdd.reconcile import Slot
from sdd.state import ClusterState, MemberKey

Record = Callable[[ids.ServiceId, ids.EndpointId, health.Status, str], Awaitable[None]]

FIRST_S = 0.25  # the pace until a new member has its first verdict: it waits for traffic
IDLE_S = 3600.0  # without a new state nothing is to be decided here


class Probes:
    """`clock` in seconds, monotonic; `jitter` gives 0..1 and spreads the checks by ±10 %."""

    def __init__(
        self,
        record: Record,
        node: ids.NodeId,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        *,
        dial: dials.Dial = dials.dial,
    ) -> None:
        self._record = record
        self._node = node
        self._clock = clock
        self._jitter = jitter
        self._dial = dial
        self._running: dict[MemberKey, tuple[Check, asyncio.Task[None]]] = {}

    async def run(self, slot: Slot) -> Never:
        """Check whoever the newest state says, for ever; ends by cancellation only."""
        async with asyncio.TaskGroup() as group:
            while True:
                state = await slot.next(IDLE_S)
                if state is not None:
                    self._follow(state, group)

    def _follow(self, state: ClusterState, group: asyncio.TaskGroup) -> None:
        wanted = checks(state, self._node)
        for key, (check, task) in tuple(self._running.items()):
            if wanted.get(key) != check:
                task.cancel()
                del self._running[key]
        for key, check in wanted.items():
            if key not in self._running:
                standing = judge.Standing(status=status(state, key))
                task = group.create_task(
                    self._watch(check, standing), name=f"probe {ids.short(check.endpoint)}"
                )
                self._running[key] = (check, task)

    async def _watch(self, check: Check, standing: judge.Standing) -> None:
        recorded = standing.status
        while True:
            begun = self._clock()
            result = await self._dial(check)
            standing = judge.judged(
                standing, passed=result.passed, rise=check.how.rise, fall=check.how.fall
            )
            if standing.status is not recorded and await self._recorded(check, standing, result):
                recorded = standing.status
            await asyncio.sleep(self._rest(check, standing, self._clock() - begun))

    async def _recorded(self, check: Check, standing: judge.Standing, result: dials.Result) -> bool:
        """Whether the store took it; if not, the next check tries again."""
        try:
            await self._record(check.service, check.endpoint, standing.status, result.reason)
        except errors.SddError:
            return False
        return True

    def _rest(self, check: Check, standing: judge.Standing, spent_s: float) -> float:
        pace = check.how.interval_s
        if standing.status is health.Status.STARTING:
            pace = min(pace, FIRST_S)
        rest: float = max(0.0, pace * (0.9 + 0.2 * self._jitter()) - spent_s)
        return rest

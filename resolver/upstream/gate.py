"""A bound on what is under way at once, with a short queue before it.

In: who wants to begin. Out: whether he may. A burst waits for 200 ms at most: a stub asks again
only after seconds, so a short wait costs less than a refusal; more would only add to the burst.
Where sandboxes share a gate, a place that comes free goes to the one that has the fewest: who asks
what nobody answers holds his places long, and would have them all.
"""

import asyncio
from collections import Counter, deque
from typing import Final

from resolver.upstream.ranking import Ranking

WAIT_S: Final = 0.2
FEW: Final = 16  # places that a sandbox has of those kept for whoever has no more
AT_ONCE: Final = 8  # that give up in one turn of the loop; then others have theirs

Place = asyncio.Future[bool]


class Gate:
    """At most `most` are inside, at most `queue` wait.

    Of one sandbox the first to come is the first to enter. Whose gate it is alone names none.
    `spare` more places are kept for sandboxes that have fewer than `FEW`.
    """

    def __init__(self, most: int, queue: int, *, spare: int = 0) -> None:
        self._most = most
        self._spare = spare
        self._most_waiting = queue
        self._queues: dict[str, deque[Place]] = {}
        self._waiting = 0
        self._inside: Counter[str] = Counter()
        self._fewest = Ranking()  # of those that wait: who has fewest inside
        self._longest = Ranking()  # and who has most waiting, by that number below zero
        self._ends: deque[tuple[float, str, Place]] = deque()  # of who waits or did
        self._looks = False
        self.inside = 0

    @property
    def is_full(self) -> bool:
        """Whether not even waiting is possible."""
        return self.inside >= self._most and self._is_crowded

    @property
    def _is_crowded(self) -> bool:
        return self._waiting >= self._most_waiting

    @property
    def is_unused(self) -> bool:
        """Whether nobody is inside or waits."""
        return not self.inside and not self._waiting

    def try_enter(self, sandbox: str = "") -> bool:
        """Whether the caller is inside now, without waiting; then he must leave."""
        if sandbox in self._queues or not self._has_room(sandbox):
            return False
        self._admit(sandbox)
        return True

    async def enter(self, sandbox: str = "") -> bool:
        """Whether the caller is inside now; then he must leave."""
        if self.try_enter(sandbox):
            return True
        if self._is_crowded and not self._make_room(sandbox):
            return False
        loop = asyncio.get_running_loop()
        place: Place = loop.create_future()
        self._queues.setdefault(sandbox, deque()).append(place)
        self._rank(sandbox)
        self._waiting += 1
        if not self._looks:
            self._looks = True
            loop.call_later(WAIT_S, self._look)
        self._ends.append((loop.time() + WAIT_S, sandbox, place))
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self.leave(sandbox)  # it was given a place in the very moment
            elif place in self._queues.get(sandbox, ()):
                self._forget(sandbox, place)
            raise

    def leave(self, sandbox: str = "") -> None:
        """Let the next one in."""
        self.inside -= 1
        self._inside[sandbox] -= 1
        if not self._inside[sandbox]:
            del self._inside[sandbox]
        if sandbox in self._queues:
            self._rank(sandbox)
        while (least := self._fewest.first()) is not None and self._has_room(least):
            place = self._queues[least][0]
            self._forget(least, place)
            if not place.done():
                self._admit(least)
                place.set_result(True)
                return

    def _has_room(self, sandbox: str) -> bool:
        """Whoever has fewer has room wherever others have."""
        if self.inside < self._most:
            return True
        return self.inside < self._most + self._spare and self._inside[sandbox] < FEW

    def _admit(self, sandbox: str) -> None:
        self.inside += 1
        self._inside[sandbox] += 1
        if sandbox in self._queues:
            self._rank(sandbox)

    def _rank(self, sandbox: str) -> None:
        """Its numbers have changed; only whoever waits is in the order."""
        if queue := self._queues.get(sandbox):
            self._fewest.put(sandbox, self._inside[sandbox])
            self._longest.put(sandbox, -len(queue))
        else:
            self._fewest.drop(sandbox)
            self._longest.drop(sandbox)

    def _make_room(self, sandbox: str) -> bool:
        """Whether the last of the sandbox that has most waiting gave up for this one."""
        most = self._longest.first()
        if most is None or len(self._queues[most]) <= len(self._queues.get(sandbox, ())) + 1:
            return False
        place = self._queues[most][-1]
        self._forget(most, place)
        if not place.done():
            place.set_result(False)
        return True

    def _forget(self, sandbox: str, place: Place) -> None:
        """`place` waits no more."""
        queue = self._queues[sandbox]
        if queue[-1] is place:
            queue.pop()
        else:  # mostly the first
            queue.remove(place)
        self._waiting -= 1
        if not queue:
            del self._queues[sandbox]
        self._rank(sandbox)

    def _look(self) -> None:
        """Whoever has waited long enough gives up; one timer for all of them."""
        loop = asyncio.get_running_loop()
        for _ in range(AT_ONCE):
            while self._ends and self._ends[0][2].done():
                self._ends.popleft()
            if not self._ends:
                self._looks = False
                return
            if self._ends[0][0] > loop.time():
                loop.call_at(self._ends[0][0], self._look)
                return
            _, sandbox, place = self._ends.popleft()
            self._forget(sandbox, place)
            place.set_result(False)
        loop.call_soon(self._look)

"""Who has the lowest number, of some whose numbers change all the time.

In: names and their numbers. Out: the first of those that have the lowest one, in a time that grows
with the logarithm of how many there are. Numbers that hold no more are passed over at the top.
"""

import heapq
import itertools
from typing import Final

SPARE: Final = 64  # numbers that hold no more, beside as many as hold


class Ranking:
    """Of equal ones the first is whoever came first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str]] = []
        self._held: dict[str, tuple[int, int]] = {}  # number, and when it came
        self._turns = itertools.count()

    def put(self, name: str, number: int) -> None:
        """`name` has this `number` from now on; who is new comes last of those that have it."""
        before = self._held.get(name)
        if before is not None and before[0] == number:
            return
        turn = before[1] if before else next(self._turns)
        self._held[name] = number, turn
        heapq.heappush(self._heap, (number, turn, name))
        if len(self._heap) > 2 * len(self._held) + SPARE:
            self._heap = [(*held, each) for each, held in self._held.items()]
            heapq.heapify(self._heap)

    def drop(self, name: str) -> None:
        """`name` is not among them any more."""
        self._held.pop(name, None)

    def first(self) -> str | None:
        """Whoever has the lowest number; None when there is nobody."""
        while self._heap:
            number, turn, name = self._heap[0]
            if self._held.get(name) == (number, turn):
                return name
            heapq.heappop(self._heap)
        return None

"""Deadlines of thousands of questions behind a few timers of the event loop.

A timer of the loop costs a handle and a place in a heap for each question, although nearly all are
answered long before. Here a deadline is a place in a set, and a set's end one timer. Deadlines
come up to `TICK_S` early, for the stub behind us has one of its own; late only as far as so many
are due that whoever asks would wait for them.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

TICK_S: Final = 0.05
AT_ONCE: Final = 8  # ends a turn of the loop; then others have theirs

Over = Callable[[], None]


class Wheel:
    """Call within the event loop only."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots: dict[int, dict[int, Over]] = {}
        self._number = 0

    def add(self, deadline: float, over: Over) -> tuple[int, int]:
        """Call `over` at `deadline`, a time of the event loop; the key is for `drop`."""
        slot = int(deadline / TICK_S)
        self._number += 1
        found = self._slots.get(slot)
        if found is None:
            found = self._slots[slot] = {}
            self._loop.call_at(slot * TICK_S, self._over, slot)
        found[self._number] = over
        return slot, self._number

    def drop(self, key: tuple[int, int]) -> None:
        """Forget about it; after its time this does nothing."""
        if found := self._slots.get(key[0]):
            found.pop(key[1], None)

    def _over(self, slot: int) -> None:
        found = self._slots[slot]
        due = tuple(itertools.islice(found, AT_ONCE))
        if not due:
            del self._slots[slot]
            return
        self._loop.call_soon(self._over, slot)  # now: a defect of one is none of the others'
        for number in due:  # one may be dropped by the call for another
            if over := found.pop(number, None):
                over()

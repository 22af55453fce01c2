"""Which part of the world a backend has to read again now. Pure: time and counts come in.

A look at a thousand namespaces takes seconds in which nothing else can be realised, so a large node
is looked at in parts, each between two passes; a small one at once.
"""

import math

from sdd.model.look import EVERYWHERE, PARTS, Look

SMALL = 50  # sandboxes that are looked at at once: 0.2 s


class Sweep:
    """Covers everything once in `round_s` seconds."""

    def __init__(self, round_s: float) -> None:
        self._round_s = round_s
        self._part = 0
        self.forget()

    def forget(self) -> None:
        """Nothing is known of the world: the next look is everywhere, leftovers included."""
        self._looked = -math.inf
        self._hurried = 0

    def look(self, now: float, sandboxes: int, asked: Look, *, again: bool) -> Look:
        """Where the pass that begins at `now` looks; `again` says that the last one failed."""
        is_small = sandboxes <= SMALL
        if math.isinf(self._looked) or (is_small and (asked.everywhere or again)):
            return self._everywhere(now)
        if asked.everywhere:
            self._hurried, asked = PARTS, Look()
        if self.wait_s(now, sandboxes) > 0:
            return asked
        if is_small:
            return self._everywhere(now)
        self._looked = now
        self._hurried = max(0, self._hurried - 1)
        part, self._part = self._part, (self._part + 1) % PARTS
        return asked | Look(parts=frozenset({part}))

    def wait_s(self, now: float, sandboxes: int) -> float:
        """Seconds until the next look is due."""
        if self._hurried:
            return 0.0
        pace_s = self._round_s if sandboxes <= SMALL else self._round_s / PARTS
        return max(0.0, self._looked + pace_s - now)

    def _everywhere(self, now: float) -> Look:
        self._looked, self._hurried = now, 0
        return EVERYWHERE

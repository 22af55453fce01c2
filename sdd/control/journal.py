"""The last events, and whoever waits for the next: what `sdctl events` reads.

In: states from the feed, and what the daemon itself has to tell. Out: events in order. Bounded: it
remembers `capacity` events; a reader that is slower than that is told how many it missed. Nothing
is kept over a restart.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from sdd.control import changes
from sdd.model.event import Action, Event, Kind
from sdd.model.network import EMPTY
from sdd.state import ClusterState

CAPACITY = 4096  # a megabyte at most, a day of a quiet host


class Journal:
    """`put` is for `Feed.subscribe`. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=capacity)
        self._state: ClusterState | None = None
        self._moved = asyncio.Event()
        self._last = 0
        self._followers = 0

    @property
    def last(self) -> int:
        """The number of the newest event; 0 before the first."""
        return self._last

    @property
    def followers(self) -> int:
        """How many follow at this moment."""
        return self._followers

    def put(self, state: ClusterState) -> None:
        """Tell what changed since the last state; the first one is where the telling starts."""
        if self._state is not None:
            self._add(changes.between(self._state, state))
        self._state = state

    def tell(
        self, kind: Kind, action: Action, subject: str = "", attributes: Mapping[str, str] = EMPTY
    ) -> None:
        """Add one event of the daemon's own."""
        self._add((Event(kind=kind, action=action, subject=subject, attributes=attributes),))

    def after(self, number: int) -> tuple[Event, ...]:
        """The events behind `number`; first of all how many of them are no longer known."""
        found = tuple(each for each in self._kept if each.number > number)
        missed = (found[0].number if found else self._last + 1) - number - 1
        if missed <= 0 or number == 0:
            return found
        lost = Event(
            kind=Kind.DAEMON,
            action=Action.LOST,
            attributes={"count": str(missed)},
            at=self._clock(),
            number=number + missed,
        )
        return (lost, *found)

    async def follow(self, number: int, patience_s: float) -> AsyncGenerator[Event | None, None]:
        """Events behind `number`, for ever; None whenever nothing came for `patience_s`."""
        self._followers += 1
        try:
            async with aclosing(self._follow(number, patience_s)) as events:
                async for each in events:
                    yield each
        finally:
            self._followers -= 1

    async def _follow(self, number: int, patience_s: float) -> AsyncGenerator[Event | None, None]:
        while True:
            moved = self._moved  # taken before reading: what comes while we yield sets this one
            for each in self.after(number):
                number = each.number
                yield each
            try:
                async with asyncio.timeout(patience_s):
                    await moved.wait()
            except TimeoutError:
                yield None

    def _add(self, events: tuple[Event, ...]) -> None:
        now = self._clock()
        for each in events:
            self._last += 1
            self._kept.append(replace(each, at=now, number=self._last))
        if events:
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

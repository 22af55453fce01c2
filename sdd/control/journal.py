"""The last events, and whoever waits for the next: what `sdctl events` reads.

In: states from the feed, and what the daemon itself has to tell. Out: events in order, at most
`capacity` of them.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from sdd.control import changes
from sdd.model.event import Action, Event, Kind
from sdd.model.network import EMPTY
from sdd.ring import Kept, Missed, Ring
from sdd.state import ClusterState

CAPACITY = 4096  # a megabyte at most, a day of a quiet host


class Journal:
    """`put` is for `Feed.subscribe`. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._ring: Ring[Event] = Ring(capacity)
        self._state: ClusterState | None = None

    @property
    def followers(self) -> int:
        """How many follow at this moment."""
        return self._ring.followers

    def put(self, state: ClusterState) -> None:
        """Tell what changed since the last state; the first one is where the telling starts."""
        if self._state is not None:
            now = self._clock()
            for each in changes.between(self._state, state):
                self._ring.add(replace(each, at=now))
        self._state = state

    def tell(
        self, kind: Kind, action: Action, subject: str = "", attributes: Mapping[str, str] = EMPTY
    ) -> None:
        """Add one event of the daemon's own."""
        now = self._clock()
        self._ring.add(
            Event(kind=kind, action=action, subject=subject, attributes=attributes, at=now)
        )

    def after(self, number: int) -> tuple[Event, ...]:
        """The events behind `number`; first of all how many of them are no longer known."""
        return tuple(self._event(each) for each in self._ring.after(number))

    async def follow(self, number: int, patience_s: float) -> AsyncGenerator[Event | None, None]:
        """Events behind `number`, for ever; None whenever nothing came for `patience_s`."""
        async with aclosing(self._ring.follow(number, patience_s)) as things:
            async for each in things:
                yield None if each is None else self._event(each)

    def _event(self, each: Kept[Event] | Missed) -> Event:
        if isinstance(each, Kept):
            return replace(each.thing, number=each.number)
        return Event(
            kind=Kind.DAEMON,
            action=Action.LOST,
            attributes={"count": str(each.count)},
            at=self._clock(),
            number=each.number,
        )

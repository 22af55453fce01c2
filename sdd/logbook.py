"""The last lines of the daemon's own log, for `sdctl logs`: whoever may use sdctl may read them.

In: the fields of each line, from any thread, as sdd.log gives them. Out: numbered lines.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from sdd.ring import Kept, Missed, Ring

CAPACITY = 8192  # about four megabytes
LONGEST = 2000  # characters of one field: a traceback is worth more than a line, not a book


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event of the log; `at` is seconds since the epoch."""

    at: float
    level: str
    message: str
    fields: Mapping[str, str]
    number: int = 0


class Logbook:
    """`keep` is for `log.configure`."""

    def __init__(self, clock: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._ring: Ring[Line] = Ring(capacity)

    @property
    def followers(self) -> int:
        """How many follow at this moment."""
        return self._ring.followers

    def keep(self, event: Mapping[str, object]) -> None:
        """Keep one line; `event` has `level`, `msg` and the fields."""
        fields = {
            key: str(value)[:LONGEST]
            for key, value in event.items()
            if key not in {"level", "msg", "time"}
        }
        self._ring.add(
            Line(
                at=self._clock(),
                level=str(event.get("level", "")),
                message=str(event.get("msg", ""))[:LONGEST],
                fields=fields,
            )
        )

    def lines(self) -> tuple[Line, ...]:
        """All that are kept, oldest first."""
        return tuple(self._line(each) for each in self._ring.after(0))

    async def follow(self, number: int, patience_s: float) -> AsyncGenerator[Line | None, None]:
        """Lines behind `number`, for ever; None whenever nothing came for `patience_s`."""
        async with aclosing(self._ring.follow(number, patience_s)) as things:
            async for each in things:
                yield None if each is None else self._line(each)

    def _line(self, each: Kept[Line] | Missed) -> Line:
        if isinstance(each, Kept):
            line = each.thing
            return Line(
                at=line.at,
                level=line.level,
                message=line.message,
                fields=line.fields,
                number=each.number,
            )
        lost = {"count": str(each.count)}
        return Line(
            at=self._clock(), level="warn", message="log.lost", fields=lost, number=each.number
        )

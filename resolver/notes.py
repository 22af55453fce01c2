"""What a worker has to tell people, a line at a time: bounded however often it happens.

In: what happened, with the time passed in. Out: lines, which sdd fetches and logs. Each kind has
one line in ten seconds; how many others there were is told with the next one. No bytes of a packet
ever get in here.
"""

import errno
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

EVERY_S: Final = 10.0
MOST: Final = 64  # lines that are kept until sdd fetches them; the oldest go first
# What the kernel says when we, and not the other side, lack something.
SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
Note = Callable[[str, str], None]  # kind, text
KINDS: Final = 256  # about which is remembered when they were told


@dataclass(slots=True)
class _Told:
    """When a kind may be told again, and how often it was not told since."""

    again: float
    more: int = 0


def unheard(kind: str, text: str) -> None:
    """A `Note` for whoever has nobody to tell."""
    del kind, text


class Notes:
    """`clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[str, _Told] = {}
        self._lines: deque[str] = deque(maxlen=MOST)

    def note(self, kind: str, text: str) -> None:
        """Tell `text`, unless something of this `kind` was told a moment ago."""
        now = self._clock()
        told = self._told.get(kind)
        if told is not None and now < told.again:
            told.more += 1
            return
        more = f" ({told.more} more before)" if told is not None and told.more else ""
        self._lines.append(text + more)
        if len(self._told) >= KINDS:
            self._told.clear()
        self._told[kind] = _Told(now + EVERY_S)

    def take(self) -> list[str]:
        """The lines that nobody took yet, the oldest first."""
        lines = list(self._lines)
        self._lines.clear()
        return lines

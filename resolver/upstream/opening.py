"""The first step of a try, over UDP, which mostly is all of it: it takes no task of its own.

In: what was sent, and what came of it. Out: one call for whoever goes on from there.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from resolver.upstream import forward, lines, sockets


class Opening(NamedTuple):
    """A question that was sent over UDP: what, when, and how often its server had looped."""

    sent: forward.Sent
    began: float
    way: sockets.Way
    health: forward.Health
    loops: int


First = tuple[Opening, "lines.Heard | asyncio.Future[lines.Heard]"]


class Opened:
    """Tells once what came of the first step, as a future when it takes longer than a try."""

    __slots__ = ("_later", "_opening", "_told")

    def __init__(self, opening: Opening, told: Callable[[First], None]) -> None:
        self._opening = opening
        self._told = told
        self._later: asyncio.Future[lines.Heard] | None = None

    def hear(self, heard: lines.Heard | None) -> None:
        """What came, or None: nothing yet."""
        if heard is None:
            self._later = asyncio.get_running_loop().create_future()
            self._told((self._opening, self._later))
        elif self._later is None:
            self._told((self._opening, heard))
        elif not self._later.done():
            self._later.set_result(heard)

"""Looks after the worker: a hang is seen within seconds, and nobody who counts waits for it.

In: the launcher's link. Out: the link ends when the worker does not answer; the newest counters.
Everything that is asked only to know how the worker is goes through this one task.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, NoReturn

from resolver import protocol
from resolver.control import launch
from sdd import errors

EVERY_S: Final = 2.0  # between two looks: with `link.PROMPT_S` a hang is known after 5 s
SCRAPE_S: Final = 1.0  # how long a scrape waits for new counts


class Watch:
    """`run` is a task of its own; without it `counters` has nothing to tell.

    `noted` is called with the pid of a worker and a line that it has for people.
    """

    def __init__(
        self, launcher: launch.Launcher, noted: Callable[[int, str], None] = lambda *_: None
    ) -> None:
        self._launcher = launcher
        self._noted = noted
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._counted: tuple[protocol.Counted, ...] = ()

    async def run(self) -> NoReturn:
        """Ask the worker every two seconds whether it turns, and for its counters when wanted."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            with contextlib.suppress(errors.Unavailable):  # whoever holds the link is told
                await self._look(counting=bool(waiting))
            for each in waiting:
                if not each.done():
                    each.set_result(None)

    async def counters(self) -> tuple[tuple[protocol.Counted, ...], bool]:
        """What the workers count, one value a worker, and whether it is of now.

        When they do not tell within `SCRAPE_S`: what they told last.
        """
        before = self._counted
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(told)
        self._asked.set()
        await asyncio.wait((told,), timeout=SCRAPE_S)
        told.cancel()
        return self._counted, self._counted is not before

    async def _look(self, *, counting: bool) -> None:
        connected = self._launcher.connected
        if connected is None:
            return  # the next pass of the reconciler starts one
        if counting:
            self._counted = (await connected.count(),)
        else:
            for line in await connected.ping():
                self._noted(connected.pid, line)

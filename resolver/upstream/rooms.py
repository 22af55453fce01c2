"""Who waits for room on the sockets of one sandbox.

In: whom somebody wants to ask, and that there may be room again. Out: the first for whom there is
some has it: one server's questions wait for their own, and not before those to others.
"""

import asyncio
import contextlib
from collections.abc import Callable

from resolver import protocol


class Queue:
    """The first to come is the first to go on, among those who can."""

    def __init__(self) -> None:
        self._waiting: list[tuple[protocol.Upstream, asyncio.Future[None]]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, server: protocol.Upstream, until: float) -> bool:
        """Whether there was room for a question to `server` before `until` (loop's time)."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((server, place))
        try:
            async with asyncio.timeout_at(until):
                await place
        except TimeoutError:
            return False
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove((server, place))
        return True

    def wake(self, has_room: Callable[[protocol.Upstream], bool]) -> None:
        """Something left: the first who can go on does."""
        for at, (server, place) in enumerate(self._waiting):
            if not place.done() and has_room(server):
                del self._waiting[at]
                place.set_result(None)
                return

"""One question under way for however many ask it.

In: askers, and what the servers said. Out: each asker is told, once. A flight belongs to nobody: an
asker that gives up takes no answer away, and what comes later than he waits is still remembered.
"""

import asyncio
from collections.abc import Callable

from resolver.message import reply

Landed = Callable[[reply.Reply], None]


class Flight:
    """`found` is what askers were told, None while it is under way.

    `sandboxes` are those for which somebody may be asked: without any it goes nowhere.
    """

    __slots__ = (
        *("_askers", "_change", "_heard", "_hears", "_is_changed"),
        *("began", "found", "sandboxes"),
    )

    def __init__(self, began: float, sandbox: str) -> None:
        self.began = began
        self.found: reply.Reply | None = None
        self.sandboxes = {sandbox}
        self._askers: list[tuple[str, Landed]] = []
        self._hears: asyncio.Future[None] | None = None
        self._heard: reply.Reply | None = None
        self._change: asyncio.Future[None] | None = None
        self._is_changed = False

    def goes_on(self) -> bool:
        """Whether anybody may still be asked for it."""
        return bool(self.sandboxes)

    def join(self, landed: Landed, sandbox: str) -> None:
        """`landed` will be called with the reply; at once when that is there."""
        if self.found is None:
            self.sandboxes.add(sandbox)
            self._askers.append((sandbox, landed))
        else:
            landed(self.found)

    def leave(self, landed: Landed) -> None:
        """`landed` will not be called."""
        self._askers = [each for each in self._askers if each[1] != landed]

    def bar(self, sandbox: str, said: reply.Reply) -> None:
        """Nobody is asked for `sandbox` any more, whose askers are told `said` now."""
        self.sandboxes.discard(sandbox)
        barred = [landed for box, landed in self._askers if box == sandbox]
        self._askers = [each for each in self._askers if each[0] != sandbox]
        for each in barred:
            each(said)

    async def changed(self, patience_s: float) -> bool:
        """Whether `change` comes within `patience_s`, or has come since this was asked before."""
        if not self._is_changed:
            self._change = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._change,), timeout=max(0.0, patience_s))
        is_changed, self._is_changed = self._is_changed, False
        return is_changed

    def change(self) -> None:
        """One of its sandboxes has other sockets or servers now."""
        self._is_changed = True
        if self._change and not self._change.done():
            self._change.set_result(None)

    def hear(self, found: reply.Reply | None) -> None:
        """What the servers said, before anything is made of it."""
        self._heard = found
        if self._hears and not self._hears.done():
            self._hears.set_result(None)

    async def heard(self, patience_s: float) -> reply.Reply | None:
        """What the servers say, None when that takes longer than `patience_s`."""
        if self._hears is None:
            self._hears = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._hears,), timeout=patience_s)
        return self._heard

    def land(self, found: reply.Reply) -> None:
        """Tell all who asked."""
        self.found = found
        if self._hears and not self._hears.done():
            self._hears.set_result(None)
        for _, each in self._askers:
            each(found)
        self._askers.clear()

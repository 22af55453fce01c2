"""What one pass hands over to a worker, made visible there little by little.

In: messages with sockets. Out: the worker's inventory as it is after each `apply`, and what it
could not do. Names change soon, and a sandbox is served soon after its sockets were sent, however
many others are to come.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from socket import socket
from typing import Final, TypeVar

import msgspec

from resolver import protocol
from resolver.control import difference, link
from resolver.control.snapshot import Snapshot
from sdd import errors

EVERY_S: Final = 0.1  # what was handed over is served after so long, and not after the last of all

# What a worker has of those with problems: it is given others, or told to have none.
_UNKNOWN: Final = protocol.Outward(0, 0, 0)

Done = TypeVar("Done")


class Handover:
    """To `worker`, of what `want` says; anything here raises `errors.Unavailable`."""

    def __init__(self, worker: link.Link, want: Snapshot, *, is_staged: bool) -> None:
        """`is_staged`: the worker was sent names or views that are not visible yet."""
        self._worker = worker
        self._want = want
        self._is_staged = is_staged
        self._turn = asyncio.Lock()
        self._sent: dict[str, protocol.Listening] = {}
        self._lent: dict[str, protocol.Reach] = {}
        self._problems: dict[str, str] = {}
        self._serving: dict[str, protocol.Listening] = {}
        self._asked: dict[str, asyncio.Future[bool]] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """What the worker could not do, by sandbox: that is sent again at the next pass."""
        return self._problems

    @property
    def serving(self) -> Mapping[str, protocol.Listening]:
        """Of those with problems the ones that are served, and on what."""
        return self._serving

    @property
    def has_sockets(self) -> bool:
        """Whether a sandbox waits to be served on what was handed over."""
        return bool(self._sent or self._lent)

    @property
    def has_new(self) -> bool:
        """Whether anything was sent that is not visible yet."""
        return self._is_staged or self.has_sockets

    async def send(self, *handed: tuple[protocol.Sockets, Sequence[socket]]) -> None:
        """Hand over sockets of a sandbox, which are all used from the same moment on."""
        async with self._turn:
            for message, links in handed:
                await self._worker.send(message, links)
                self._note(message)

    def _note(self, sent: protocol.Sockets) -> None:
        if isinstance(sent, protocol.Listen):
            self._sent[sent.sandbox] = sent.listening
            return
        had = self._worker.inventory.outward.get(sent.sandbox, {})
        lent = dict(self._lent.get(sent.sandbox, had))
        lent.pop(sent.family, None)
        if sent.outward.udp + sent.outward.tcp:
            lent[sent.family] = sent.outward
        self._lent[sent.sandbox] = lent

    async def served(self, sandbox: str) -> bool:
        """Whether the worker serves on what was handed over a moment ago, once it has said so."""
        asked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked[sandbox] = asked
        return await asked

    async def led(self, sandbox: str) -> None:
        """Port 53 leads to the newest sockets."""
        await self._worker.send(protocol.Led(sandbox))

    async def apply(self) -> None:
        """Make visible all that was sent, and know that it is there."""
        async with self._turn:
            await self._apply()

    async def _apply(self) -> None:
        try:
            applied = await self._worker.apply(self._want.revision)
        except errors.Unavailable as exc:
            for each in self._answered():
                each[1].set_exception(exc)
            raise
        sent, self._sent = self._sent, {}
        lent, self._lent = self._lent, {}
        self._is_staged = False
        self._problems |= applied.problems
        bad = self._problems.keys()
        after = difference.after(self._worker.inventory, self._want)
        self._serving |= {
            box: one
            for box, one in applied.listeners.items()
            # It can only be on what it was given.
            if box in bad and one in (after.listeners.get(box), sent.get(box))
        }
        listeners = {**after.listeners, **sent, **self._serving}
        for box, asked in self._answered():
            asked.set_result(box not in bad or self._serving.get(box) == sent.get(box))
        self._worker.inventory = msgspec.structs.replace(
            after,
            views={box: digest for box, digest in after.views.items() if box not in bad},
            listeners={
                box: one for box, one in listeners.items() if box not in bad or box in self._serving
            },
            outward={
                box: dict.fromkeys(one, _UNKNOWN) if box in bad else one
                for box, one in {**after.outward, **lent}.items()
                if one
            },
        )

    def _answered(self) -> Sequence[tuple[str, asyncio.Future[bool]]]:
        """Who waits to be told, each once."""
        asked, self._asked = self._asked, {}
        return [(box, each) for box, each in asked.items() if not each.done()]

    async def during(self, work: Coroutine[None, None, Done]) -> Done:
        """What `work`, which sends and raises nothing, comes to; applies what it sent meanwhile."""
        async with asyncio.TaskGroup() as both:
            going = both.create_task(work, name="dns handover")
            while not going.done():
                await asyncio.wait((going,), timeout=EVERY_S)
                if self.has_new and not going.done():
                    with contextlib.suppress(errors.Unavailable):  # the next to send is told
                        await self.apply()
        return going.result()

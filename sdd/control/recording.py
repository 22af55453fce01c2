"""Verdicts that wait for their turn are written together: one transaction, one revision.

In: verdicts, one a call. Out: commits of all that are there when the turn has come, so that a
member of 150 services leaves all of them at once when its cable is cut, and not one after the
other. Each caller hears what became of its own.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice

from sdd import errors
from sdd.control import verdicts
from sdd.control.ground import Ground, Plan
from sdd.model import health, ids
from sdd.state import MemberKey

MOST = 500  # in one transaction: commands wait for it, 20 ms

Make = Callable[[Ground], Plan[verdicts.Verdicts] | None]
Commit = Callable[[Make], Awaitable[object]]


@dataclass(slots=True, eq=False)
class _Entry:
    key: MemberKey
    said: health.Said
    refused: errors.SddError | None = None


class Recording:
    """`commit` makes a plan when the turn has come, again if others were faster, and writes it."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._turn = asyncio.Lock()
        self._waiting: dict[_Entry, None] = {}  # in the order in which they came

    async def record(self, of: ids.ServiceId, end: ids.EndpointId, said: health.Said) -> None:
        """Returns when the verdict is stored, or there is nothing to write; raises what refused it.

        Who is cancelled while others write for it may be stored or not.
        """
        mine = _Entry((of, end), said)
        self._waiting[mine] = None
        try:
            await asyncio.sleep(0)  # who is woken by the same news comes along
            async with self._turn:
                while mine in self._waiting:
                    await self._write(mine)
        finally:
            self._waiting.pop(mine, None)
        if mine.refused is not None:
            raise mine.refused

    async def _write(self, first: _Entry) -> None:
        """Those that were taken wait no more; they stay if whoever writes for all is cancelled."""
        taken: list[_Entry] = []
        refused = None
        try:
            await self._commit(functools.partial(self._plan, taken))
        except errors.SddError as exc:
            refused = exc
        for each in taken or (first,):
            each.refused = refused
            self._waiting.pop(each, None)

    def _plan(self, taken: list[_Entry], ground: Ground) -> Plan[verdicts.Verdicts] | None:
        taken[:] = islice(self._waiting, MOST)
        return verdicts.record(ground, {each.key: each.said for each in taken})

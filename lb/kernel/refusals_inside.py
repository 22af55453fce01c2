"""Hears who refuses where no bridge of the host carries it: in the sandbox of whoever refuses.

In: the newest state. Out: one call with the address that refused, as of `refusals`. On macvlan and
ipvlan networks packets pass from member to member and the host sees none. So a small table in the
sandbox of each checked member there sends what it refuses to a socket of this process, which owns
the table: one descriptor a sandbox, and nothing to be removed after a crash.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Collection
from typing import Never

from lb.kernel import ears, refusals
from sdd import errors
from sdd.linux import closing, high, namespaces, netlink, nft_compile
from sdd.model.look import NOWHERE, Look
from sdd.model.network import IPAddress
from sdd.reconcile import Slot
from sdd.state import ClusterState

AGAIN_S = 0.2  # a sandbox is there a moment after the state that has it; then ever more seldom
LOOK_S = 20.0  # for a namespace that somebody made anew at the same place
_ERROR = 2  # NLMSG_ERROR
_STATUS = struct.Struct("=i")
_RECEIVE = 1 << 16
_TABLE_FLAGS, _OWNED = 2, 2  # NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER

Told = Callable[[IPAddress], None]
Where = Callable[[ClusterState], Collection[str]]


class Inside:
    """`where` are the namespaces to listen in; `told` hears of each refusal there."""

    def __init__(self, doors: namespaces.Namespaces, where: Where, told: Told) -> None:
        self._doors = doors
        self._where = where
        self._told = told
        self._open: dict[str, tuple[int, socket.socket]] = {}  # with the namespace's inode
        self._table: netlink.Batch | None = None
        self._slot: Slot | None = None

    def kick(self, look: Look) -> None:
        """A namespace may be gone: to listen in it would keep it, and all links in it."""
        if self._slot is not None:
            self._slot.kick(look)

    async def follow(self, slot: Slot) -> Never:
        """For ever; ends by cancellation, and nobody listens any more."""
        loop = asyncio.get_running_loop()
        self._slot = slot
        wanted: Collection[str] = ()
        known: ClusterState | None = None
        look_due, again_s, pause_s = loop.time() + LOOK_S, AGAIN_S, LOOK_S
        try:
            while True:
                state = await slot.next(pause_s)
                again_s = min(LOOK_S, 2 * again_s)
                if state is not None and state is not known:
                    known, wanted, again_s = state, self._where(state), AGAIN_S
                is_news = slot.look() != NOWHERE
                if is_news or loop.time() >= look_due:
                    again_s = AGAIN_S if is_news else again_s
                    await self._look()
                    look_due = loop.time() + LOOK_S
                pause_s = LOOK_S if await self._listen(wanted) else again_s
        finally:
            for each in tuple(self._open):
                self._close(each)

    async def _look(self) -> None:
        """A path that leads elsewhere than it did is listened at anew."""
        for path, (inode, _) in tuple(self._open.items()):
            with contextlib.suppress(errors.SddError):
                if await namespaces.wait_inode(path) != inode:
                    self._close(path)

    async def _listen(self, wanted: Collection[str]) -> bool:
        """In these and no others; False when one of them cannot be listened in yet."""
        for gone in self._open.keys() - set(wanted):
            self._close(gone)
        found = [await self._begun(each) for each in wanted if each not in self._open]
        return all(found)

    async def _begun(self, path: str) -> bool:
        try:
            inode = await namespaces.wait_inode(path)
            table = await self._made()
            ear = await self._doors.run(path, lambda: _opened(table))
        except (errors.SddError, OSError):
            return False
        self._open[path] = (inode, ear)
        asyncio.get_running_loop().add_reader(ear, ears.drain, ear, refusals.refusing, self._told)
        return True

    async def _made(self) -> netlink.Batch:
        """The table as requests: nft translates it once."""
        if self._table is None:
            found = await self._doors.scratch(
                lambda: nft_compile.messages(refusals.INSIDE, refusals.TABLE)
            )
            first, *rest = found
            owned = first._replace(body=first.body + netlink.be32(_TABLE_FLAGS, _OWNED))
            self._table = netlink.batch(nft_compile.SUBSYSTEM, (owned, *rest))
        return self._table

    def _close(self, path: str) -> None:
        _, ear = self._open.pop(path)
        asyncio.get_running_loop().remove_reader(ear)
        closing.later(ear.close)  # its table goes, and the kernel waits for those who read it


def _opened(table: netlink.Batch) -> socket.socket:
    """An ear in the calling thread's namespace, and the table it owns. Raises OSError."""
    ear = high.moved(refusals.ear())
    try:
        ear.setblocking(True)
        _commit(ear, table)
        ear.setblocking(False)
    except BaseException:
        ear.close()
        raise
    return ear


def _commit(ear: socket.socket, table: netlink.Batch) -> None:
    """Raises OSError with the first refusal; the kernel has worked when `send` returns."""
    ear.send(table.data)
    first, last = table.first, table.first + table.length - 2
    codes: dict[int, int] = {}
    while not {first, last} & codes.keys():
        for kind, _, number, body in netlink.frames(ear.recv(_RECEIVE)):
            if kind == _ERROR:
                codes.setdefault(number, -_STATUS.unpack_from(body)[0])
    if code := next(filter(None, codes.values()), 0):
        raise OSError(code, os.strerror(code))

"""The namespaces of the sandboxes: sockets opened there, port 53 led to them.

In: what a sandbox wants and which sockets the worker has. Out: new sockets handed over, the table
`inet sdd-dns` right. Waits shortly for namespaces that netns has yet to make.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from resolver import protocol
from resolver.result import NOTHING, Result, mended, of_sandbox, of_space, total
from resolver.space import kept, opener, redirect, taker
from sdd import errors, reconcile
from sdd.linux import guests, namespaces
from sdd.model import absence, ids

READY_S: Final = 5.0  # how long a namespace may take to appear: netns works on the same revision
AT_ONCE: Final = 8  # sandboxes at the same time: others have their turn in the namespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One sandbox as seen from here.

    `inode` is the only namespace that may be meant (0 = whatever is at `path`): the namespace of
    an adopted sandbox may end and its path lead to a stranger's. `outlives` says that it stays
    when the sandbox is removed. `upstream` is the family of the sockets for its own upstreams,
    `port` the one that its server holds.
    """

    box: ids.SandboxId
    name: str
    path: str
    inode: int = 0
    outlives: bool = False
    served: bool
    upstream: socket.AddressFamily | None = None
    port: int = opener.ANY


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a good pass left: the namespace and its sockets (None: it has no server)."""

    spot: Spot
    inode: int
    listening: protocol.Listening | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """How a visit ended."""

    box: ids.SandboxId
    result: Result = NOTHING


class Places:
    """All sandboxes' namespaces; remembers what it left there."""

    def __init__(
        self,
        doors: namespaces.Namespaces,
        been: guests.Guests,
        *,
        ready_s: float = READY_S,
        is_vain: reconcile.IsVain = reconcile.hopeful,
    ) -> None:
        """Waits `ready_s` for what netns is making, unless `is_vain`.

        `been` are the namespaces that outlive their sandboxes and have a table of ours.
        """
        self._doors = doors
        self._been = been
        self._ready_s = ready_s
        self._is_vain = is_vain
        self._redirects = redirect.Redirects()
        self._settled: dict[ids.SandboxId, _Settled] = {}
        self._kept = kept.Kept()
        self._absent: set[ids.SandboxId] = set()  # waited for once, in vain
        self._spoilt: set[ids.SandboxId] = set()  # whose sockets are to be replaced
        self._gate = asyncio.Semaphore(AT_ONCE)

    def departed(self, staying: frozenset[ids.SandboxId]) -> tuple[ids.SandboxId, ...]:
        """The sandboxes that have been here and are not among `staying`."""
        self._absent &= staying
        self._spoilt &= staying
        return tuple(self._settled.keys() - staying)

    def keep_only(self, staying: Collection[ids.SandboxId]) -> None:
        """Close our duplicates of the sockets of all others."""
        self._kept.only(staying)

    def lacking(
        self, have: Mapping[str, protocol.Listening]
    ) -> Mapping[ids.SandboxId, protocol.Listening]:
        """Of what a worker has, that of which we hold no duplicates."""
        every = ((ids.SandboxId(box), one) for box, one in have.items())
        return {box: one for box, one in every if self._kept.of(box) is None}

    def keep(
        self,
        wanted: Mapping[ids.SandboxId, protocol.Listening],
        found: Mapping[int, opener.Opened],
    ) -> None:
        """Hold those that were found, by namespace, and are the ones that a worker tells of."""
        rest = dict(found)
        for box, listening in wanted.items():
            if listening.inode in rest and rest[listening.inode].listening == listening:
                self._kept.keep(box, rest.pop(listening.inode))
        for each in rest.values():
            each.close()

    def inherit(self, found: Mapping[int, opener.Opened]) -> None:
        """A worker that is to be replaced has these, by namespace: the next one serves on them."""
        self._kept.inherit(found)

    def disinherit(self) -> None:
        """Every sandbox was visited: let go of what none of them wanted."""
        self._kept.disinherit()

    def kept(self, spot: Spot, have: protocol.Listening | None) -> opener.Opened | None:
        """The sockets that the last visit left as `spot` wants them, if the worker lacks them."""
        if have is not None or (held := self._kept.sound(spot.box)) is None:
            return None
        return held if self.is_settled(spot, held.listening) else None

    def spoilt(self, box: ids.SandboxId, *, is_served: bool) -> None:
        """The worker cannot serve on these sockets, or not on all: the next ones are new.

        `is_served` says that it serves the sandbox all the same.
        """
        self._spoilt.add(box)
        if not is_served:
            self._kept.drop(box)

    def is_settled(self, spot: Spot, have: protocol.Listening | None) -> bool:
        """Whether the last visit left what `spot` wants; looks at nothing outside."""
        before = self._settled.get(spot.box)
        is_same = before is not None and before.listening == have and before.spot == spot
        return is_same and spot.box not in self._spoilt

    async def visit(
        self, spot: Spot, have: protocol.Listening | None, worker: taker.Taker
    ) -> Visit:
        """As `settle`; sockets that somebody closed (SOCK_DESTROY, `ss -K`) are opened anew."""
        if have is None or not self._kept.is_spoilt(spot.box):
            return await self.settle(spot, have, worker)
        self._spoilt.add(spot.box)
        made = await self.settle(spot, have, worker)
        if spot.box in self._spoilt:
            return made
        return replace(made, result=mended(made.result, spot.name, "its DNS sockets"))

    async def settle(
        self, spot: Spot, have: protocol.Listening | None, worker: taker.Taker
    ) -> Visit:
        """Everything as `spot` wants it; `have` is what the worker serves for it.

        What cannot be done is a failure of this sandbox; only `worker` may raise.
        """
        before = self._settled.pop(spot.box, None)  # forgotten unless this visit ends well
        try:
            inode = await self._arrived(spot, has_been=before is not None)
            if not spot.served:
                async with self._gate:
                    return await self._bare(spot, inode)
            if have is None or have.inode != inode:
                async with self._gate:
                    return await self._serve(spot, inode, worker)
            if _fits(spot, have) and spot.box not in self._spoilt:
                async with self._gate:
                    return await self._stay(spot, have, before, worker)
            return await self._exchange(spot, inode, before, worker)
        except errors.Unavailable:
            raise
        except (errors.SddError, OSError) as exc:
            if before is not None:
                self._redirects.forget(before.inode)
            if isinstance(exc, errors.NotFound):
                self._kept.drop(spot.box)
            whom, is_adopted = (spot.box, spot.name, spot.path), bool(spot.inode)
            failed = of_space(*whom, opener.refused(exc), is_adopted=is_adopted)
            return Visit(box=spot.box, result=failed)

    async def leave(self, box: ids.SandboxId) -> Visit:
        """Take our table out of a namespace that outlives its sandbox."""
        self._kept.drop(box)
        settled = self._settled.pop(box)
        spot = settled.spot
        taken_over = any(each.inode == settled.inode for each in self._settled.values())
        if not spot.outlives or taken_over or await self._there(spot) != settled.inode:
            self._redirects.forget(settled.inode)
            return Visit(box=box)
        try:
            return Visit(box=box, result=await self._removed(spot.path, settled.inode))
        except errors.NotFound:
            return Visit(box=box)  # the namespace went, and all in it
        except (errors.SddError, OSError) as exc:
            self._settled[box] = settled  # tried again at the next pass
            return Visit(box=box, result=of_sandbox(box, spot.name, opener.refused(exc)))

    async def clear(self, staying: Collection[int]) -> Result:
        """Take our tables out of the namespaces where a former daemon was.

        But for those with the inodes `staying`.
        """
        stays = {*staying, *(each.inode for each in self._settled.values())}
        try:
            been = await self._doors.run("", self._been.read)
        except OSError:
            return NOTHING  # the next look tries again
        return total(
            [await self._cleared(path, inode) for path, inode in been.items() if inode not in stays]
        )

    async def _cleared(self, path: str, inode: int) -> Result:
        try:
            return await self._removed(path, inode)
        except (errors.SddError, OSError):
            return NOTHING  # it went, or the next look tries again

    async def _arrived(self, spot: Spot, *, has_been: bool) -> int:
        """The inode of the sandbox's namespace, waited for when netns has yet to make it.

        One that was there, or that others made, is not awaited when it is gone: newer states,
        which may say so, would wait as well.
        """
        for pause_s in reconcile.pauses_s(self._ready_s):
            if found := await self._there(spot):
                self._absent.discard(spot.box)
                return found
            if spot.box in self._absent or has_been or spot.inode or self._is_vain(spot.box):
                break
            await asyncio.sleep(pause_s)
        self._absent.add(spot.box)
        raise errors.NotFound(f"its namespace {spot.path!r} is not there", code=absence.CODE)

    async def _serve(self, spot: Spot, inode: int, worker: taker.Taker) -> Visit:
        """Sockets for one that has no server. Who asks before the worker has them waits in them."""
        opened = await self._inherited(spot, inode) or await self._opened(spot, inode)
        await self._hand_over(spot, opened, worker)
        self._kept.keep(spot.box, opened)
        self._settled[spot.box] = _Settled(spot, inode, opened.listening)
        return Visit(box=spot.box, result=Result(changed=1))

    async def _stay(
        self, spot: Spot, have: protocol.Listening, before: _Settled | None, worker: taker.Taker
    ) -> Visit:
        """It has the right sockets; whether port 53 leads there is looked at."""
        wrote = await self._doors.run(spot.path, functools.partial(self._lead, spot, have))
        if before is None:
            await worker.led(spot.box)  # whoever handed them over may have been killed before
        self._settled[spot.box] = _Settled(spot, have.inode, have)
        undone = wrote and before is not None and before.listening == have
        return Visit(box=spot.box, result=Result(changed=wrote, repaired=int(undone)))

    async def _exchange(
        self, spot: Spot, inode: int, before: _Settled | None, worker: taker.Taker
    ) -> Visit:
        """Other sockets for one that has a server, which answers until these do.

        The worker may have no room for them. What it says of that is told by who hears it.
        """
        async with self._gate:
            opened = await self._opened(spot, inode, self._kept.sound(spot.box), is_led=False)
            await self._hand_over(spot, opened, worker)
        listening = opened.listening
        try:
            is_served = await worker.served(spot.box)
        except BaseException:
            opened.close()
            raise
        if not is_served:
            opened.close()
            if before is not None:
                self._settled[spot.box] = before
            return Visit(box=spot.box)
        self._kept.keep(spot.box, opened)
        async with self._gate:
            await self._doors.run(spot.path, functools.partial(self._lead, spot, listening))
        await worker.led(spot.box)
        self._settled[spot.box] = _Settled(spot, inode, listening)
        return Visit(box=spot.box, result=Result(changed=1))

    async def _hand_over(self, spot: Spot, opened: opener.Opened, worker: taker.Taker) -> None:
        """Closes what cannot be handed over."""
        listen = protocol.Listen(sandbox=spot.box, listening=opened.listening)
        try:
            await worker.send(listen, opened.links)
        except BaseException:
            opened.close()
            raise
        self._spoilt.discard(spot.box)

    async def _inherited(self, spot: Spot, inode: int) -> opener.Opened | None:
        """As `_opened`, of sockets that a worker left which nobody here had known."""
        left = self._kept.inherited(inode)
        if left is None:
            return None
        if not _fits(spot, left.listening):
            left.close()
            return None
        try:
            lead = functools.partial(self._lead, spot, left.listening)
            await self._doors.run(spot.path, lead)
        except BaseException:
            left.close()
            raise
        return left

    async def _opened(
        self, spot: Spot, inode: int, held: opener.Opened | None = None, *, is_led: bool = True
    ) -> opener.Opened:
        """New sockets, with port 53 led to them; the listeners are those of `held`, if any.

        `lo` is waited for, which another backend brings up. What comes before the worker has the
        sockets waits in their queues.
        """
        work = functools.partial(self._open, inode, spot, held, is_led=is_led)
        for pause_s in reconcile.pauses_s(self._ready_s):
            with contextlib.suppress(opener.NotYet):
                return await self._doors.run(spot.path, work)
            await asyncio.sleep(pause_s)
        raise errors.KernelRefused(
            "its loopback interface is down",
            hint=f"set it up: nsenter --net={spot.path} ip link set lo up",
            code="SDD-DNS-LOOPBACK",
        )

    def _open(
        self, inode: int, spot: Spot, held: opener.Opened | None, *, is_led: bool
    ) -> opener.Opened:
        opened = opener.open_sockets(inode, spot.upstream, spot.port, held)
        try:
            if is_led:
                self._lead(spot, opened.listening)
        except BaseException:
            opened.close()
            raise
        return opened

    def _lead(self, spot: Spot, listening: protocol.Listening) -> bool:
        """Whether the table had to be written."""
        if self._redirects.is_right(listening):
            return False
        if spot.outlives:
            self._been.enter(spot.path)
        self._redirects.write(listening)
        return True

    async def _bare(self, spot: Spot, inode: int) -> Visit:
        """No server here: what an earlier life or a lost network left must not catch port 53."""
        self._kept.drop(spot.box)
        removed = await self._removed(spot.path, inode)
        self._settled[spot.box] = _Settled(spot, inode, None)
        return Visit(box=spot.box, result=removed)

    async def _there(self, spot: Spot) -> int:
        """Not on the event loop: the path is the user's, and its file system may hang."""
        return await self._doors.run("", lambda: there(spot))

    async def _removed(self, path: str, inode: int) -> Result:
        return Result(changed=int(await self._doors.run(path, lambda: self._left(path, inode))))

    def _left(self, path: str, inode: int) -> bool:
        """Whether there was a table to be removed."""
        removed = self._redirects.remove(inode)
        self._been.leave(path, inode)
        return removed


def there(spot: Spot) -> int:
    """The inode of the namespace that is meant; 0 when it is not there. Blocking."""
    found = namespaces.inode(spot.path)
    return found if not spot.inode or found == spot.inode else 0


def _fits(spot: Spot, have: protocol.Listening) -> bool:
    """Whether the worker's sockets are those that are wanted."""
    if redirect.is_direct(have) != (spot.port != opener.ANY):
        return False
    if have.is_ipv6 != (spot.upstream == socket.AF_INET6):
        return False
    return have.upstream == (opener.NONE if spot.upstream is None else opener.UPSTREAM)

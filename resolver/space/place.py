"""The namespaces of the sandboxes: sockets opened there, port 53 led to them.

In: what a sandbox wants and which sockets the worker has. Out: new sockets handed over, the table
`inet sdd-dns` right. Waits shortly for namespaces that netns has yet to make.
"""

import asyncio
import contextlib
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from resolver import protocol
from resolver.result import NOTHING, Result, mended, of_hanging, of_sandbox, of_space, total
from resolver.space import kept, opener, redirect, supply, taker
from sdd import errors, reconcile
from sdd.linux import guests, lookups, namespaces
from sdd.model import absence, ids

READY_S: Final = 5.0  # how long a namespace may take to appear: netns works on the same revision
AT_ONCE: Final = 8  # sandboxes at the same time: others have their turn in the namespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One sandbox as seen from here.

    `inode` is the only namespace that may be meant (0 = whatever is at `path`): the namespace of
    an adopted sandbox may end and its path lead to a stranger's. `outlives` says that it stays
    when the sandbox is removed. `families` are those of its own upstreams, `port` the one that its
    server holds.
    """

    box: ids.SandboxId
    name: str
    path: str
    inode: int = 0
    outlives: bool = False
    served: bool
    families: frozenset[protocol.Family] = frozenset()
    port: int = opener.ANY


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a good pass left: the namespace and its sockets."""

    spot: Spot
    inode: int
    have: taker.Have


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
        self._supply = supply.Supply(doors, self._kept)
        self._absent: set[ids.SandboxId] = set()  # waited for once, in vain
        self._hanging: set[ids.SandboxId] = set()  # nobody can tell what is there
        self._gate = asyncio.Semaphore(AT_ONCE)

    def departed(self, staying: frozenset[ids.SandboxId]) -> tuple[ids.SandboxId, ...]:
        """The sandboxes that have been here and are not among `staying`."""
        self._absent &= staying
        self._hanging &= staying
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
        wanted: Mapping[ids.SandboxId, taker.Have],
        found: Sequence[kept.Found],
    ) -> None:
        """Hold those that were found and are the ones that a worker tells of."""
        whose = {have.listening: box for box, have in wanted.items()}
        for each in found:
            if (box := whose.pop(each.opened.listening, None)) is None:
                each.close()
                continue
            self._kept.keep(box, each.opened)
            for lot in each.lots:
                if wanted[box].reach.get(lot.family) == lot.outward:
                    self._kept.keep_lot(box, lot)
                else:
                    lot.close()

    def inherit(self, found: Sequence[kept.Found]) -> None:
        """A worker that is to be replaced has these: the next one serves on them."""
        self._kept.inherit(found)

    def disinherit(self) -> None:
        """Every sandbox was visited: let go of what none of them wanted."""
        self._kept.disinherit()

    def kept(self, spot: Spot, have: taker.Have) -> Sequence[taker.Handed]:
        """The sockets that the last visit left as `spot` wants them, if the worker lacks them."""
        before = self._settled.get(spot.box)
        if have.listening is not None or before is None or before.spot != spot:
            return ()
        held = self._kept.sound(spot.box)
        if held is None or held.listening != before.have.listening:
            return ()
        return supply.handed(spot.box, held, self._kept.lots(spot.box, spot.families))

    def spoilt(self, box: ids.SandboxId) -> None:
        """The worker cannot serve on these listeners: the next ones are new."""
        self._kept.drop_listeners(box)

    def is_settled(self, spot: Spot, have: taker.Have) -> bool:
        """Whether the last visit left what `spot` wants; looks at nothing outside."""
        before = self._settled.get(spot.box)
        if before is None or spot.box in self._hanging:
            return False
        return before.have == have and before.spot == spot

    async def visit(self, spot: Spot, have: taker.Have, worker: taker.Taker) -> Visit:
        """As `settle`; sockets that somebody closed (SOCK_DESTROY, `ss -K`) are opened anew."""
        is_spoilt = have.listening is not None and self._kept.is_spoilt(spot.box)
        made = await self.settle(spot, have, worker)
        if not is_spoilt or self._kept.is_spoilt(spot.box):
            return made
        return replace(made, result=mended(made.result, spot.name, "its DNS sockets"))

    async def settle(self, spot: Spot, have: taker.Have, worker: taker.Taker) -> Visit:
        """Everything as `spot` wants it; `have` is what the worker has of it.

        What cannot be done is a failure of this sandbox; only `worker` may raise.
        """
        before = self._settled.pop(spot.box, None)  # forgotten unless this visit ends well
        self._hanging.discard(spot.box)
        try:
            inode = await self._arrived(spot, has_been=before is not None)
            if not spot.served:
                async with self._gate:
                    return await self._bare(spot, inode)
            if have.listening is None or have.listening.inode != inode:
                async with self._gate:
                    return await self._serve(spot, inode, have, worker)
            is_right = redirect.is_direct(have.listening) == (spot.port != opener.ANY)
            if is_right and not self._kept.is_spoilt(spot.box):
                async with self._gate:
                    return await self._stay(spot, have.listening, have, before, worker)
            return await self._exchange(spot, inode, have, before, worker)
        except lookups.Hangs as exc:  # it is served as before, also by the next worker
            self._hanging.add(spot.box)
            if before is not None:
                self._settled[spot.box] = before
            return Visit(box=spot.box, result=of_hanging(spot.box, spot.name, exc))
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
        try:
            if not spot.outlives or taken_over or await _there(spot) != settled.inode:
                self._redirects.forget(settled.inode)
                return Visit(box=box)
            return Visit(box=box, result=await self._removed(spot.path, settled.inode))
        except lookups.Hangs:
            self._redirects.forget(settled.inode)
            return Visit(box=box)  # `clear` looks there again
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
            if found := await _there(spot):
                self._absent.discard(spot.box)
                return found
            if spot.box in self._absent or has_been or spot.inode or self._is_vain(spot.box):
                break
            await asyncio.sleep(pause_s)
        self._absent.add(spot.box)
        raise errors.NotFound(f"its namespace {spot.path!r} is not there", code=absence.CODE)

    async def _serve(self, spot: Spot, inode: int, have: taker.Have, worker: taker.Taker) -> Visit:
        """Sockets for one that has no server. Who asks before the worker has them waits in them."""
        opened = await self._inherited(spot, inode) or await self._opened(spot, inode)
        given = await self._supply.hand_over(spot, inode, have, worker, opened)
        self._kept.keep(spot.box, opened)
        return self._ended(spot, inode, opened.listening, given, Result(changed=1))

    async def _stay(
        self,
        spot: Spot,
        listening: protocol.Listening,
        have: taker.Have,
        before: _Settled | None,
        worker: taker.Taker,
    ) -> Visit:
        """It has the right listeners; whether port 53 leads there is looked at."""
        wrote = await self._doors.run(spot.path, functools.partial(self._lead, spot, listening))
        if before is None:
            await worker.led(spot.box)  # whoever handed them over may have been killed before
        given = await self._supply.hand_over(spot, listening.inode, have, worker, None)
        undone = wrote and before is not None and before.have.listening == listening
        done = Result(changed=wrote or given.changed > 0, repaired=int(undone))
        return self._ended(spot, listening.inode, listening, given, done)

    async def _exchange(
        self, spot: Spot, inode: int, have: taker.Have, before: _Settled | None, worker: taker.Taker
    ) -> Visit:
        """Listeners on another port for one that has a server, which answers until these do.

        The worker may have no room for them. What it says of that is told by who hears it.
        """
        async with self._gate:
            opened = await self._opened(spot, inode, is_led=False)
            given = await self._supply.hand_over(spot, inode, have, worker, opened)
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
            lead = functools.partial(self._lead, spot, opened.listening)
            await self._doors.run(spot.path, lead)
        await worker.led(spot.box)
        return self._ended(spot, inode, opened.listening, given, Result(changed=1))

    def _ended(
        self,
        spot: Spot,
        inode: int,
        listening: protocol.Listening,
        given: supply.Given,
        done: Result,
    ) -> Visit:
        """Served; but it is seen to again where it cannot ask everybody."""
        if not given.result.failures:
            self._settled[spot.box] = _Settled(spot, inode, taker.Have(listening, given.reach))
        return Visit(box=spot.box, result=total((done, given.result)))

    async def _inherited(self, spot: Spot, inode: int) -> opener.Opened | None:
        """As `_opened`, of sockets that a worker left which nobody here had known."""
        left = self._kept.inherited(inode)
        if left is None:
            return None
        if redirect.is_direct(left.listening) != (spot.port != opener.ANY):
            left.close()
            return None
        try:
            lead = functools.partial(self._lead, spot, left.listening)
            await self._doors.run(spot.path, lead)
        except BaseException:
            left.close()
            raise
        return left

    async def _opened(self, spot: Spot, inode: int, *, is_led: bool = True) -> opener.Opened:
        """New listeners, with port 53 led to them.

        `lo` is waited for, which another backend brings up. What comes before the worker has the
        sockets waits in their queues.
        """
        work = functools.partial(self._open, inode, spot, is_led=is_led)
        for pause_s in reconcile.pauses_s(self._ready_s):
            with contextlib.suppress(opener.NotYet):
                return await self._doors.run(spot.path, work)
            await asyncio.sleep(pause_s)
        raise errors.KernelRefused(
            "its loopback interface is down",
            hint=f"set it up: nsenter --net={spot.path} ip link set lo up",
            code="SDD-DNS-LOOPBACK",
        )

    def _open(self, inode: int, spot: Spot, *, is_led: bool) -> opener.Opened:
        opened = opener.open_sockets(inode, spot.port)
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
        self._settled[spot.box] = _Settled(spot, inode, taker.Have())
        return Visit(box=spot.box, result=removed)

    async def _removed(self, path: str, inode: int) -> Result:
        return Result(changed=int(await self._doors.run(path, lambda: self._left(path, inode))))

    def _left(self, path: str, inode: int) -> bool:
        """Whether there was a table to be removed."""
        removed = self._redirects.remove(inode)
        self._been.leave(path, inode)
        return removed


def there(spot: Spot) -> int:
    """The inode of the namespace that is meant; 0 when it is not there.

    Blocking; raises `lookups.Hangs` when nobody can tell.
    """
    return _meant(spot, namespaces.inode(spot.path))


async def _there(spot: Spot) -> int:
    """The same on the event loop."""
    return _meant(spot, await namespaces.wait_inode(spot.path))


def _meant(spot: Spot, found: int) -> int:
    return found if not spot.inode or found == spot.inode else 0

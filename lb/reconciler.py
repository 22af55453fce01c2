"""Decides when: state → wanted tables → steps per sandbox, and what to report of it.

A pass touches the sandboxes whose table changed, from what they are known to hold, and those that
it shall look at: they are read, and what somebody else changed is mended. How to change a kernel is
the kernel's business, in which order the plan's.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from lb import moment, plan, repairs, table, world
from lb.derived import Derived, renewed
from lb.desired import Wanted, nothing
from lb.leaving import Leaving, Left
from sdd import contained, errors, reconcile
from sdd.linux import guests
from sdd.model import absence, ids, progress
from sdd.model.look import EVERYWHERE, Look
from sdd.model.network import IPAddress
from sdd.state import ClusterState

READY_S = 5.0  # how long a namespace may take to appear: netns works on the same revision
_WITHDRAWN_OUTSIDE, _WITHDRAWN, _CHANGED, _NEW = range(4)  # what is done first
GONE = frozenset({absence.CODE, errors.NotFound.default_code})
NOT_YET = GONE | {"SDD-LB-NOTYET"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a namespace was seen to hold at the end of a good pass."""

    inode: int
    place: table.Place
    table: table.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What one sandbox contributes to the outcome."""

    failures: tuple[progress.Failure, ...] = ()
    changed: int = 0
    repaired: int = 0
    repairs: tuple[progress.Repair, ...] = ()


class Reconciler:
    """Realises the balancing of one node's sandboxes through one kernel.

    `clock` is seconds since the epoch, as the state's times are.
    """

    def __init__(
        self,
        kernel: world.Kernel,
        node: ids.NodeId,
        *,
        been: guests.Guests | None = None,
        leaving: Leaving | None = None,
        left: Left = lambda _box, _was, _loads: None,
        derived: Derived | None = None,
        ready_s: float = READY_S,
        is_vain: reconcile.IsVain = reconcile.hopeful,
        was_realised: reconcile.WasRealised = reconcile.unknown,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Waits `ready_s` for a namespace that is being made, unless `is_vain`.

        `been` remembers the adopted namespaces that have a table of ours, over restarts; `leaving`
        holds those of sandboxes that left, so that their last counts can be read; `left` is told
        those of backends that left a sandbox, with what it balanced before. `was_realised` is
        asked once: what the first pass finds undone was undone by others.
        """
        self._been = been
        self._leaving = leaving
        self._left = left
        self._kernel = kernel
        self._is_vain = is_vain
        self._was_realised = was_realised
        self._is_taken_over = False  # whether what this pass finds is an earlier process's work
        self._clock = clock
        self._derived = derived or Derived(node)
        self._desired = self._before = nothing(node)
        self._ready_s = ready_s
        self._diff = plan.Diff()
        self._known: dict[ids.SandboxId, _Known] = {}
        self._places: dict[ids.SandboxId, table.Place] = {}  # where something of ours may be
        self._absent: set[ids.SandboxId] = set()  # waited for once, in vain

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE) -> progress.Outcome:
        """Bring every sandbox of this node to its table at `state`'s revision."""
        self._is_taken_over = self._was_realised(state.revision)
        self._was_realised = reconcile.unknown
        now = moment.at(state, self._clock())
        self._before, self._desired = self._desired, self._derived.of(now.state)
        self._diff = plan.Diff()
        wanted = self._desired.sandboxes
        concerned = (
            (box, want)
            for box, want in wanted.items()
            if look.covers(want.place.netns) or not self._is_known(box, want)
        )
        results = await asyncio.gather(
            *(
                self._sandbox(box, want, look=look.covers(want.place.netns))
                for box, want in sorted(concerned, key=self._urgency)
            ),
            *(
                self._farewell(box, self._before.sandboxes.get(box), wanted.values())
                for box in self._places.keys() - wanted.keys()
            ),
        )
        self._let_go(state)
        if look.everywhere:
            await self._clear(want.place.netns for want in wanted.values())
        self._absent &= wanted.keys()
        # Whoever joins a network waits for none of it.
        self._kernel.foresee(renewed(self._before, self._desired))
        return progress.Outcome(
            revision=state.revision,
            # What concerns a service is the same in every sandbox and IP version: said once.
            failures=tuple(
                dict.fromkeys(
                    (
                        *self._desired.failures,
                        *(each for one in results for each in one.failures),
                    )
                )
            ),
            changed=sum(each.changed for each in results),
            repaired=sum(each.repaired for each in results),
            repairs=tuple(one for each in results for one in each.repairs),
            again_s=now.again_s,
        )

    def _urgency(self, one: tuple[ids.SandboxId, Wanted]) -> int:
        """Smaller goes first.

        Where somebody is taken out, connections go to a backend that is gone until that is done;
        where others come from outside, many of them.
        """
        box, want = one
        known = self._known.get(box)
        if known is None:
            return _NEW
        steps = self._diff(known.table, want.table)
        if not any(map(_withdraws, steps)):
            return _CHANGED
        return _WITHDRAWN if not want.place.uplink else _WITHDRAWN_OUTSIDE

    def _is_known(self, box: ids.SandboxId, want: Wanted) -> bool:
        """Whether the last pass left what is wanted; looks at nothing outside.

        Where we have never been, nothing of ours is taken away before the next look.
        """
        known = self._known.get(box)
        if known is None:
            return want.table == table.EMPTY and box not in self._places
        return self._same(known, want)

    def _same(self, known: _Known, want: Wanted) -> bool:
        return known.place == want.place and not self._diff(known.table, want.table)

    async def _sandbox(self, box: ids.SandboxId, want: Wanted, *, look: bool) -> _Result:
        """Whatever is raised about one sandbox is its own failure."""
        what = f"sandbox {want.name!r} does not balance"
        try:
            done = await contained.awaited(self._realised(box, want, look=look), box, what)
        except errors.SddError as exc:
            return _Result(failures=(_failure(box, want, exc),))
        return _Result(failures=(done,)) if isinstance(done, progress.Failure) else done

    async def _realised(self, box: ids.SandboxId, want: Wanted, *, look: bool) -> _Result:
        """Waits for what netns has yet to make.

        Not for a namespace that was there once, or that others made: newer states, which may say
        that it is gone, would wait as well.
        """
        is_made = box in self._places or want.place.inode != 0
        known = self._known.pop(box, None)  # forgotten unless this pass ends well
        inode = await self._kernel.inode(want.place)
        if known is not None and known.inode != inode:
            known = None
        if not is_made and not look:
            known = _Known(inode=inode, place=want.place, table=table.EMPTY)  # netns makes it now
        for pause_s in reconcile.pauses_s(self._ready_s):
            result = await self._pass(box, want, known, inode, look=look)
            missing = {failure.code for failure in result.failures} & NOT_YET
            if not missing:
                self._absent.discard(box)
                return result
            if box in self._absent or (is_made and missing & GONE) or self._is_vain(box):
                break
            if not missing & GONE and not is_made:
                known = None  # some of it is there by now
            await asyncio.sleep(pause_s)
            inode = await self._kernel.inode(want.place)
        self._absent.add(box)
        return result

    async def _pass(
        self, box: ids.SandboxId, want: Wanted, known: _Known | None, inode: int, *, look: bool
    ) -> _Result:
        """Read unless it is known, plan, apply, read back; `inode` is there now."""
        self._places[box] = want.place
        try:
            _check_there(want.place, inode)
            if known is not None and not look and known.place == want.place:
                done = await self._trusting(box, want, known.table)
            else:
                undone = self._is_taken_over or (known is not None and self._same(known, want))
                have = await self._kernel.read(want.place, None, want.table.services)
                done = await self._stepped(box, want, have, () if undone else None)
        except errors.SddError as exc:
            return _Result(failures=(_failure(box, want, exc),))
        if not done.failures:
            self._known[box] = _Known(inode=inode, place=want.place, table=want.table)
        return done

    async def _trusting(self, box: ids.SandboxId, want: Wanted, have: table.Table) -> _Result:
        """From what is believed to be there; if that fails, somebody may have changed it since.

        Then everything is read, and what differs beside our own change was done by hands.
        """
        try:
            done = await self._stepped(box, want, have)
            if not done.failures or any(each.code in NOT_YET for each in done.failures):
                return done
        except errors.KernelRefused:
            pass
        own = plan.touched(self._diff(have, want.table))
        return await self._stepped(box, want, await self._kernel.read(want.place), own)

    async def _stepped(
        self,
        box: ids.SandboxId,
        want: Wanted,
        have: table.Table,
        own: Collection[IPAddress | None] | None = None,
    ) -> _Result:
        """From `have` to what is wanted; steps are repairs unless they are about `own` addresses.

        None: all of them are our own.
        """
        steps = self._diff(have, want.table)
        failures = await self._apply(box, want, have, steps) if steps else ()
        mended = [each for each in steps if own is not None and plan.subject(each) not in own]
        return _Result(
            failures=failures,
            changed=len(steps),
            repaired=len(mended),
            repairs=() if failures else repairs.of(self._desired, want, have, mended),
        )

    async def _apply(
        self, box: ids.SandboxId, want: Wanted, have: table.Table, steps: Sequence[plan.Step]
    ) -> tuple[progress.Failure, ...]:
        if self._been is not None and want.place.inode and want.table != table.EMPTY:
            await asyncio.to_thread(self._been.enter, want.place.netns)
        done = await self._kernel.apply(want.place, have, steps)
        if done.ended:
            self._left(box, self._before.sandboxes.get(box, want), done.ended)
        if done.refusals:
            return tuple(self._refused(box, want, each) for each in done.refusals)
        return tuple(
            self._refused(box, want, world.Refusal(vip=vip, sentence=_UNSEEN, code="SDD-LB-UNSEEN"))
            for vip in self._diff.left(done.shown, want.table, steps)
        )

    def _refused(
        self, box: ids.SandboxId, want: Wanted, refusal: world.Refusal
    ) -> progress.Failure:
        owner = None if refusal.vip is None else want.owners.get(refusal.vip)
        of = "" if owner is None else f"service {self._desired.state.services[owner].name!r}"
        what = " ".join(filter(None, (of, "" if refusal.vip is None else f"at {refusal.vip}")))
        who = f"sandbox {want.name!r} does not balance{what and ' '}{what}"
        if of and refusal.code == world.NO_SCHEDULER:
            who = f"{of} cannot be balanced"
        return progress.Failure(
            subject=owner or box,
            sentence=f"{who}: {refusal.sentence}",
            hint=refusal.hint,
            code=refusal.code,
        )

    async def _farewell(
        self, box: ids.SandboxId, was: Wanted | None, others: Collection[Wanted]
    ) -> _Result:
        """Take our table out of a namespace that outlives its sandbox (an adopted one)."""
        place = self._places.pop(box)
        self._known.pop(box, None)
        if self._leaving is not None and was is not None:
            await self._read_last(self._leaving, box, was)
        if any(each.place.netns == place.netns for each in others):
            return _Result()  # another sandbox took the name over: the table is its own now
        try:
            steps, refusals = await self._emptied(place)
        except errors.NotFound:
            return _Result()  # the namespace went, and all in it
        except errors.SddError as exc:
            refusals = (world.Refusal(vip=None, sentence=exc.sentence, code=exc.code),)
        if refusals:
            self._places[box] = place  # tried again at the next pass
        return _Result(
            failures=tuple(
                progress.Failure(subject=box, sentence=each.sentence, code=each.code)
                for each in refusals
            ),
            changed=len(steps) if not refusals else 0,
        )

    async def _read_last(self, leaving: Leaving, box: ids.SandboxId, was: Wanted) -> None:
        """What was counted there; nothing when the namespace went before."""
        held, place = leaving.take(box), was.place
        loads: Sequence[world.Load] = ()
        try:
            if held is not None:
                place = replace(place, netns=held.path)
            elif place.inode:  # of others, who take it away in their own time
                _check_there(place, await self._kernel.inode(place))
            if was.table.services and (held is not None or place.inode):
                loads = await self._kernel.loads(place)
        except errors.SddError:
            pass  # it can no longer be read
        finally:
            if held is not None:
                held.close()
            leaving.ended(box, was, loads)

    def _let_go(self, state: ClusterState) -> None:
        """Of what left without our having been there, nothing was counted."""
        if self._leaving is None:
            return
        for box in self._leaving.left(state):
            if (held := self._leaving.take(box)) is not None:
                held.close()
            self._leaving.ended(box, None, ())

    async def _clear(self, staying: Iterable[str]) -> None:
        """Take our tables out of what an earlier life forgot before it could clean up there."""
        if self._been is None:
            return
        been = await asyncio.to_thread(self._been.read)
        for path in been.keys() - {*staying, *(place.netns for place in self._places.values())}:
            with contextlib.suppress(errors.SddError):  # it went, or the next look tries again
                await self._emptied(table.Place(netns=path, inode=been[path]))

    async def _emptied(
        self, place: table.Place
    ) -> tuple[Sequence[plan.Step], Sequence[world.Refusal]]:
        """What was taken to leave nothing of ours there, and what of it the kernel refused."""
        inode = await self._kernel.inode(place)
        _check_there(place, inode)
        have = await self._kernel.read(place)
        steps = plan.diff(have, table.EMPTY)
        done = await self._kernel.apply(place, have, steps) if steps else None
        refusals = done.refusals if done else ()
        if self._been is not None and not refusals:
            await asyncio.to_thread(self._been.leave, place.netns, inode)
        return steps, refusals


_UNSEEN = "the kernel took the change but does not show it"


def _check_there(place: table.Place, found: int) -> None:
    """Raises NotFound where there is no namespace, or a stranger's."""
    if not found or (place.inode and found != place.inode):
        raise errors.NotFound("there is no such namespace", code=absence.CODE)


def _withdraws(step: plan.Step) -> bool:
    return isinstance(step, plan.RemoveBackend | plan.RemoveService) or (
        isinstance(step, plan.SetWeight) and not step.backend.weight
    )


def _failure(box: ids.SandboxId, want: Wanted, exc: errors.SddError) -> progress.Failure:
    if exc.code == absence.CODE:
        return absence.of(box, want.name, want.place.netns, is_adopted=bool(want.place.inode))
    return progress.Failure(
        subject=box,
        sentence=f"sandbox {want.name!r} does not balance: {exc.sentence}",
        hint=exc.hint,
        code=exc.code,
    )

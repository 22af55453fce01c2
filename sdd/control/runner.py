"""Plans are made, committed and waited for here, the same way for every command.

In: functions that make a plan of a Ground. Out: what the plan results in, once this node's
backends have realised it. What the kernel refuses is undone; what only takes too long is not: it is
completed later, for to undo it would take as long. One plan is made and committed at a time on this
node, so commands never lose to their own neighbours; against other nodes a lost compare means: read
on, plan again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import TypeVar

from sdd import errors
from sdd.control.feed import Feed
from sdd.control.ground import Ground, Plan
from sdd.control.progress import Progress
from sdd.model import ids, network, sandbox, service, template
from sdd.model.host_route import HostRoute
from sdd.model.progress import Failure, told_once
from sdd.store import contract

TRIES = 32  # lost compares in a row before giving up: other nodes would have to win each time
CATCH_UP_S = 0.2  # for the feed to see what made a compare fail

T = TypeVar("T")
Prefixes = tuple[HostRoute, ...]
Make = Callable[[Ground], Plan[T]]
MaybeMake = Callable[[Ground], Plan[T] | None]
Grounded = Callable[[Prefixes], Ground]

_UNDONE = "nothing was kept of it"
_STAYS = "it stays stored and sdd goes on trying; see: sdctl status"
GONE = "it is removed, and sdd goes on trying to take away what is left of it"


class Runner:
    """`ground` gives the present Ground, with the host's prefixes it is told."""

    def __init__(
        self,
        *,
        store: contract.Store,
        feed: Feed,
        progress: Progress,
        ground: Grounded,
        timeout_s: float,
    ) -> None:
        self._store = store
        self._feed = feed
        self._progress = progress
        self._ground = ground
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()

    async def created(
        self, make: Make[T], undo: Callable[[T], Make[T]], prefixes: Prefixes = ()
    ) -> T:
        """The result of the plan, realised; undone when this node could not realise it."""
        known = self.known()
        plan, revision = await self._written(make, prefixes)
        failures = await self._progress.realised(
            revision, plan.subjects, self._timeout_s, _named(plan.result), known
        )
        if failures:
            raise _refusal(failures, await self._undone(undo(plan.result)))
        return plan.result

    async def done(self, make: Make[T]) -> T:
        """The result of the plan, realised; it stays stored even when a backend failed."""
        return await self._done(make, _STAYS)

    async def removed(self, make: Make[T]) -> T:
        """As `done`, of what is gone then, even when a backend could not take all of it away."""
        return await self._done(make, GONE)

    async def prepared(self, make: MaybeMake[T], patience_s: float) -> T | None:
        """What a command does first, realised; it goes on without, after `patience_s`.

        The plan's result; nothing is done, and None returned, when there is no plan.
        """
        written = await self.committed(make)
        if written is None:
            return None
        plan, revision = written
        with contextlib.suppress(errors.TimedOut):
            await self._progress.realised(revision, (), patience_s)
        return plan.result

    def known(self) -> frozenset[Failure]:
        """What fails before a command begins, for which it does not answer."""
        return self._progress.known()

    async def realised(
        self,
        revision: ids.Revision,
        subjects: Collection[str],
        known: Collection[Failure],
        fate: str = _STAYS,
    ) -> None:
        """Returns once this node is at `revision`; raises what else failed about `subjects`.

        `fate` says what becomes of what the command was about.
        """
        failures = await self._progress.realised(revision, subjects, self._timeout_s, known=known)
        if failures:
            raise _refusal(failures, fate)

    async def committed(
        self, make: MaybeMake[T], prefixes: Prefixes = ()
    ) -> tuple[Plan[T], ids.Revision] | None:
        """The plan and its revision, which the feed has reached; None when there is no plan."""
        async with self._turn:
            for _ in range(TRIES):
                plan = make(self._ground(prefixes))
                if plan is None:
                    return None
                try:
                    revision = await self._store.commit(plan.transaction)
                except contract.Lost as lost:
                    await self._catch_up(lost.key)
                    continue
                await self._followed(revision)
                return plan, revision
        raise errors.Unavailable(
            f"others changed the same objects {TRIES} times in a row",
            hint="try again",
            code="SDD-STORE-CONTENTION",
        )

    async def _done(self, make: Make[T], fate: str) -> T:
        known = self.known()
        plan, revision = await self._written(make)
        await self.realised(revision, plan.subjects, known, fate)
        return plan.result

    async def _written(
        self, make: Make[T], prefixes: Prefixes = ()
    ) -> tuple[Plan[T], ids.Revision]:
        written = await self.committed(make, prefixes)
        assert written is not None
        return written

    async def _undone(self, make: Make[T]) -> str:
        """The created is removed again, if that can be: what became of it, in words."""
        try:
            plan, revision = await self._written(make)
            await self._progress.realised(revision, plan.subjects, self._timeout_s)
        except errors.NotFound:
            return _UNDONE  # somebody was faster
        except errors.SddError:
            return _STAYS  # somebody uses it already, or the kernel is slow as well
        return _UNDONE

    async def _followed(self, revision: ids.Revision) -> None:
        """The feed has reached what was committed; raises TimedOut when the watch is stuck."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._feed.reached(revision)
        except TimeoutError:
            raise errors.TimedOut(
                f"revision {revision} is stored, but the store does not report it back",
                hint="the daemon's log says why; the change stays",
                code="SDD-STORE-STUCK",
            ) from None

    async def _catch_up(self, key: str) -> None:
        """Wait until the feed has seen what made the compare on `key` fail, but not for long."""
        item = await self._store.get(key)
        try:
            async with asyncio.timeout(CATCH_UP_S):
                if item:
                    await self._feed.reached(item.revision)
                else:
                    await self._feed.moved()
        except TimeoutError:
            pass  # the next try will say


def _named(made: object) -> str:
    """What was made, to begin a sentence with."""
    if isinstance(made, network.Network | sandbox.Sandbox | service.Service | template.Template):
        return f"{type(made).__name__.lower()} {made.name}"
    return "the change"


def _refusal(failures: tuple[Failure, ...], fate: str) -> errors.KernelRefused:
    """The first failure's words and what became of the command; other reasons are counted."""
    (first, _), *rest = told_once(failures)
    more = f" (and {len(rest)} more)" if rest else ""
    hint = "; ".join(filter(None, (first.hint, fate)))
    return errors.KernelRefused(first.told + more, hint=hint, code=first.code)

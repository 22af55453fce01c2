"""One question and its servers: whom to ask when, and whose reply is taken.

In: what each server showed of itself. Out: the first reply that says something, else the least bad
one. A server that is well is waited for alone. While one may be gone (`Health.is_doubtful`) the
next is asked beside it, and what that says waits a little for the former, so that the order still
counts where both are well. Whoever keeps silent is asked again until the asker's time is over: a
packet may be lost, and a server may come back.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field

from resolver.message import reply
from resolver.upstream import forward, tries
from resolver.upstream.opening import First
from resolver.upstream.question import Question
from resolver.upstream.tried import Tried

Spawn = Callable[[Coroutine[None, None, None]], None]


@dataclass(slots=True, eq=False)
class _Attempt:
    """One message to the server `at`; `rank` is its place in the order, `number` this one's."""

    at: int
    rank: int
    number: int
    began: float  # loop's time
    is_doubtful: bool
    found: "asyncio.Future[reply.Reply | None]"
    quiet: "asyncio.Future[None]"
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class _Good:
    """A reply that can be taken once those before it in the order have had their time."""

    at: int
    rank: int
    found: reply.Reply


@dataclass(slots=True)
class Race:
    """The tries for one question; `goes_on` tells whether anybody may still be asked."""

    asked: Question
    healths: Sequence[forward.Health]
    tried: list[Tried]
    through: tries.Tries
    spawn: Spawn
    goes_on: Callable[[], bool]
    poor: dict[int, reply.Reply] = field(default_factory=dict)
    _unproven: set[int] = field(default_factory=set)
    _order: Sequence[int] = ()
    _begun: list[_Attempt] = field(default_factory=list)
    _good: _Good | None = None
    _next: int = 0
    _began: float = 0.0
    _end: float = 0.0
    _is_over: bool = False
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def run(self, now: float, end: float, first: First | None = None) -> reply.Reply | None:
        """The best reply; None when there is none at all until `end`, a time of the event loop.

        `first` is what came of the first step of the first server's try when that was done already.
        Tries that are overtaken end by themselves: what they show of their servers counts.
        """
        self._order = forward.order(self.healths, now)
        if first and self._order[0]:  # it was the first when it was asked
            self._order = [0, *filter(None, self._order)][: forward.TRIES]
        self._began, self._end = end - forward.TOTAL_S, end
        try:
            self._ask(first)
            while self.goes_on() and (wait_until := self._advance()) is not None:
                if wait_until > self._loop.time():
                    await self._news(wait_until)
                    self._look()
            if self._good:
                return self._kept_shortly(self._good)
            return forward.best(self.poor.values()) if self.goes_on() else None
        finally:
            self._is_over = True
            for each in self._under_way():
                self._overtake(each)

    def _advance(self) -> float | None:
        """Until when to wait for news, after asking whoever is due; None when it is over."""
        now = self._loop.time()
        if self._good:
            until = self._held_until(self._good)
            return None if now >= min(until, self._end) else min(until, self._end)
        if now >= self._end:
            return None
        due = self._due()
        if due is not None and due <= now:
            self._ask()
            return now
        if due is None and not any(True for _ in self._under_way()):
            return None
        return self._end if due is None else min(due, self._end)

    def _kept_shortly(self, good: _Good) -> reply.Reply:
        """The reply; a "no" in place of a server listed before, which may know better, is short."""
        if all(at in self.poor for at in range(good.at)):
            return good.found
        return reply.denied_for(good.found, forward.INSTEAD_S)

    def _due(self) -> float | None:
        """When the next server is to be asked, if nothing comes before; None: not by itself."""
        count = len(self._order)
        if not self._skip_poor():
            return None
        latest = self._begun[-1]
        if latest.found.done() and self._next < forward.TRIES:
            return latest.began
        if not any(True for _ in self._under_way()):
            return None  # nobody is silent, so time changes nothing
        if not latest.is_doubtful and not latest.found.done():  # it is waited for alone
            return latest.began if latest.quiet.done() else None
        if self._next // count == latest.number // count:
            return latest.began + self.healths[latest.at].beside_s
        later = latest.began + forward.RESEND_S[0] / 2
        return next((at for s in forward.RESEND_S if (at := self._began + s) >= later), None)

    def _skip_poor(self) -> bool:
        """Whether anybody is left who may say more: to ask the others again would only add load.

        Those have spoken, or showed a certificate that would be refused again.
        """
        for _ in self._order:
            at = self._order[self._next % len(self._order)]
            if at not in self.poor and at not in self._unproven:
                return True
            self._next += 1
        return False

    def _held_until(self, good: _Good) -> float:
        """When those before it in the order, who may still be gone, have had their time."""
        firsts: dict[int, float] = {}
        for each in self._under_way():
            if each.rank < good.rank:
                start_s = self.healths[each.at].head_start_s(denies=good.found.denies)
                firsts.setdefault(each.rank, self._first_of(each.rank) + start_s)
        return max(firsts.values(), default=self._began)

    def _first_of(self, rank: int) -> float:
        return next(each.began for each in self._begun if each.rank == rank)

    def _under_way(self) -> Iterator[_Attempt]:
        return (each for each in self._begun if not each.found.done())

    def _ask(self, first: First | None = None) -> None:
        rank = self._next % len(self._order)
        at = self._order[rank]
        attempt = _Attempt(
            at=at,
            rank=rank,
            number=self._next,
            began=self._began if first else self._loop.time(),
            is_doubtful=self.healths[at].is_doubtful,
            found=self._loop.create_future(),
            quiet=self._loop.create_future(),
        )
        self._next += 1
        self._begun.append(attempt)
        self.spawn(self._work(attempt, first))

    async def _work(self, attempt: _Attempt, first: First | None) -> None:
        attempt.task = asyncio.current_task()

        def is_quiet() -> None:
            attempt.quiet.set_result(None)
            if self._is_over:
                self._overtake(attempt)

        found = None
        try:
            found = await self.through.one(
                self.asked,
                self.asked.scope.upstreams[attempt.at],
                self.healths[attempt.at],
                self.tried,
                first,
                until=self._end,
                goes_on=self.goes_on,
                quiet=is_quiet,
                unproven=functools.partial(self._unproven.add, attempt.at),
            )
        finally:
            attempt.found.set_result(found)
            attempt.task = None  # which keeps this frame, by the traceback of its being cancelled

    def _overtake(self, attempt: _Attempt) -> None:
        """Nobody waits for it any more: it has the time of one try, no more."""
        if attempt.quiet.done() and attempt.task:
            attempt.task.cancel()

    async def _news(self, until: float) -> None:
        waiting: list[asyncio.Future[reply.Reply | None] | asyncio.Future[None]] = []
        for each in self._under_way():
            waiting.append(each.found)
            if not each.quiet.done():
                waiting.append(each.quiet)
        left_s = max(0.0, until - self._loop.time())
        await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)

    def _look(self) -> None:
        """Take in what came: of several good replies the one of the first in the order."""
        for each in self._begun:
            found = each.found.result() if each.found.done() else None
            if found is None:
                continue
            if forward.wants_better(found):
                self.poor[each.at] = found
            elif self._good is None or each.rank < self._good.rank:
                self._good = _Good(each.at, each.rank, found)

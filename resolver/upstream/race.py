"""One question and its servers: whom to ask when, and whose reply is taken.

In: what each server showed of itself. Out: the first reply that says something, else the least bad
one. A server that keeps silent is waited for by the first question alone: while it may be gone
(`Health.is_doubtful`), the next server is asked beside it, a little later, so that the order still
counts where both are well.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from resolver.message import reply
from resolver.upstream import forward, lines, tries
from resolver.upstream.tries import Question

Begun = dict["asyncio.Future[reply.Reply | None]", int]
First = tuple[tries.Opening, lines.Heard]
Spawn = Callable[[Coroutine[None, None, None]], None]


class Race:
    """The tries for one question."""

    def __init__(
        self,
        asked: Question,
        healths: Sequence[forward.Health],
        tried: list[tries.Tried],
        *,
        through: tries.Tries,
        spawn: Spawn,
    ) -> None:
        self._asked = asked
        self._healths = healths
        self._tried = tried
        self._through = through
        self._spawn = spawn
        self._poor: dict[int, reply.Reply] = {}

    async def run(self, now: float, first: First | None = None) -> reply.Reply | None:
        """The best reply; None when there is none at all.

        `first` is what came of the first step of the first server's try when that was done already.

        So many tries of such a length never take longer than `forward.TOTAL_S`. Those that are
        overtaken end by themselves: what they show of their servers counts.
        """
        order = list(forward.order(self._healths, now))
        if first and order[0]:  # it was the first when it was asked
            order = [0, *filter(None, order)][: forward.TRIES]
        begun: Begun = {}
        for at, following in zip(order, [*order[1:], None], strict=True):
            if at in self._poor or at in begun.values():
                continue  # it has spoken, or may still: asking again would only add load
            health, is_last = self._healths[at], following in (None, at)
            if first or (not begun and (is_last or not health.is_doubtful)):
                good = self._good(at, await self._try(at, first))
                first = None
            else:
                latest = self._begin(at, begun)
                patience_s = None if is_last or not health.is_doubtful else health.head_start_s
                good = await self._first(begun, latest, patience_s)
            if good:
                return good
        while begun:
            if good := await self._first(begun, next(iter(begun)), None):
                return good
        return forward.best(self._poor.values())

    async def _try(self, at: int, first: First | None = None) -> reply.Reply | None:
        server = self._asked.scope.upstreams[at]
        return await self._through.one(self._asked, server, self._healths[at], self._tried, first)

    def _begin(self, at: int, begun: Begun) -> "asyncio.Future[reply.Reply | None]":
        trying: asyncio.Future[reply.Reply | None] = asyncio.get_running_loop().create_future()
        begun[trying] = at

        async def work() -> None:
            found = None
            try:
                found = await self._try(at)
            finally:
                trying.set_result(found)

        self._spawn(work())
        return trying

    async def _first(
        self,
        begun: Begun,
        latest: "asyncio.Future[reply.Reply | None]",
        patience_s: float | None,
    ) -> reply.Reply | None:
        """A good reply; None once `latest` has brought none, or was given its time."""
        loop = asyncio.get_running_loop()
        until = None if patience_s is None else loop.time() + patience_s
        while latest in begun:
            left_s = None if until is None else until - loop.time()
            done, _ = await asyncio.wait(begun, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return None
            for each in done:
                if good := self._good(begun.pop(each), each.result()):
                    return good
        return None

    def _good(self, at: int, found: reply.Reply | None) -> reply.Reply | None:
        """`found` when nobody can be expected to know better."""
        if found is None:
            return None
        if forward.wants_better(found):
            self._poor[at] = found
            return None
        return found

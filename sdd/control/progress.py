"""The one back edge: how far each backend of this node is, and who waits for it.

In: outcomes from the reconcilers. Out: failures for the command that waits. Only the newest
outcome of each backend is kept: a later pass knows better.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from sdd import errors
from sdd.control import lag
from sdd.model import absence, ids
from sdd.model.progress import EVERYTHING, Backend, Failure, Outcome
from sdd.settled import Settled

CARRIED_S = 10.0  # for which what takes long waits for what carries connections
CARRYING = frozenset({Backend.NETNS, Backend.LB, Backend.PORTS})
CODE = "SDD-PROGRESS-TIMEOUT"


class Progress:
    """Waits for all of `backends`; `lag` says which of them are late by `clock`, in seconds.

    `settled` notes how far they are for the process after this one.
    """

    def __init__(
        self,
        backends: Collection[Backend],
        clock: Callable[[], float] = time.monotonic,
        settled: Settled | None = None,
    ) -> None:
        self._settled = settled
        self._backends = tuple(backends)
        self._newest: dict[Backend, Outcome] = {}
        self._repaired = dict.fromkeys(backends, 0)
        self._moved = asyncio.Event()
        self.lag = lag.Lag(self.snapshot, clock)

    def report(self, backend: Backend, outcome: Outcome) -> None:
        """A reconciler made a pass."""
        self._newest[backend] = outcome
        self.lag.ended(backend)
        if self._settled is not None:
            self._settled.note(backend, outcome)
        self._repaired[backend] += outcome.repaired
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def snapshot(self) -> Mapping[Backend, Outcome]:
        """The newest outcome of each backend that has reported; what fails is in one of them."""
        told: dict[Backend, Outcome] = {}
        for backend in filter(self._newest.__contains__, self._backends):
            outcome = self._newest[backend]
            first = tuple(self._not_in(outcome.failures, told))
            told[backend] = (
                outcome if first == outcome.failures else replace(outcome, failures=first)
            )
        return MappingProxyType(told)

    def _not_in(
        self, failures: Iterable[Failure], told: Mapping[Backend, Outcome]
    ) -> Iterator[Failure]:
        """Without what is told already, and where a namespace is missing, without all but why."""
        known = {each for outcome in told.values() for each in outcome.failures}
        reasons = {each.subject for each in known}
        for each in failures:
            if each not in known and (each.code != absence.CODE or each.subject not in reasons):
                yield each

    def repaired(self) -> Mapping[Backend, int]:
        """How many steps of each backend undid what somebody else had changed, since the start."""
        return MappingProxyType(self._repaired)

    def was_realised(self, backend: Backend, revision: ids.Revision) -> bool:
        """Whether an earlier process had realised that, in the very same kernel."""
        return self._settled is not None and self._settled.was_realised(backend, revision)

    def has_failed(self, backend: Backend, subject: str) -> bool:
        """Whether the backend's newest pass failed at that object."""
        outcome = self._newest.get(backend)
        failures = outcome.failures if outcome is not None else ()
        return any(each.subject in (subject, EVERYTHING) for each in failures)

    def known(self) -> frozenset[Failure]:
        """What fails by now of single objects, whatever command comes next."""
        every = (each for outcome in self._newest.values() for each in outcome.failures)
        return frozenset(each for each in every if each.subject != EVERYTHING)

    async def realised(
        self,
        revision: ids.Revision,
        subjects: Collection[str],
        timeout_s: float,
        what: str = "the change",
        known: Collection[Failure] = (),
    ) -> tuple[Failure, ...]:
        """The failures that concern `subjects`, once every backend is at `revision` or later.

        Those that were `known` before the command are not its own and left out.

        Raises TimedOut, which names `what` and the backends that are not there after `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._behind(revision):
                    await self._moved.wait()
        except TimeoutError:
            raise self._timed_out(revision, timeout_s, what) from None
        told = self.snapshot()
        return tuple(
            failure
            for backend in self._backends
            for failure in told[backend].failures
            if failure not in known
            and (failure.subject == EVERYTHING or failure.subject in subjects)
        )

    async def carried(self, revision: ids.Revision, patience_s: float = CARRIED_S) -> None:
        """Returns once what carries connections is at `revision` or later, well or not.

        After `patience_s` anyway.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not CARRYING.isdisjoint(self._behind(revision)):
                    await self._moved.wait()

    def _behind(self, revision: ids.Revision) -> tuple[Backend, ...]:
        return tuple(
            each
            for each in self._backends
            if each not in self._newest or self._newest[each].revision < revision
        )

    def _timed_out(self, revision: ids.Revision, timeout_s: float, what: str) -> errors.TimedOut:
        names = ", ".join(self._behind(revision))
        return errors.TimedOut(
            f"{what} is stored (revision {revision}), but after {timeout_s:g} s not yet realised"
            f" by: {names}",
            hint="nothing is undone: it is completed as soon as it can be; see: sdctl status",
            code=CODE,
        )

"""The loop all four backends use: newest state wins, retry with back-off, look again in 20 s.

In: a slot with the newest state and where to look, from kernel events. Out: `Outcome`s to `report`.
It never decides *what* to do (that is `Realise`) and never touches the world itself.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Never, Protocol

from sdd import apart, errors, fence, lacks
from sdd.model import ids, progress
from sdd.model.look import EVERYWHERE, NOWHERE, Look
from sdd.state import ClusterState
from sdd.sweep import Sweep

RESYNC_S = 20.0  # a change made by hand must be repaired within 30 s, the pass itself included
LIMIT_S = 120.0  # twice of what the longest wait in a pass takes, the start of a DNS worker
SANDBOX_S = 0.2  # ten times of what one takes when all of them are made at once
BACKOFF_FIRST_S = 0.2
BACKOFF_LIMIT_S = 10.0
BACKOFF_DOUBLINGS = 6  # lead above the limit
PAUSE_FIRST_S = 0.001
PAUSE_LIMIT_S = 0.02
PAUSE_GROWTH = 1.25  # whoever waits n ms looks at most n/4 ms too late


class Slot:
    """One place for the newest state: bursts coalesce because older values are overwritten."""

    def __init__(self) -> None:
        self._state: ClusterState | None = None
        self._look = NOWHERE
        self._wake = asyncio.Event()

    def put(self, state: ClusterState) -> None:
        """Make `state` the newest and wake the reconciler."""
        self._state = state
        self._wake.set()

    def kick(self, look: Look = EVERYWHERE) -> None:
        """Ask for one more pass, over the same state if there is no newer one, that looks there."""
        self._look |= look
        self._wake.set()

    def look(self) -> Look:
        """Where the kicks since the last call want a look."""
        look, self._look = self._look, NOWHERE
        return look

    async def next(self, timeout_s: float) -> ClusterState | None:
        """The newest state, at once when there is a new one or a kick, else after `timeout_s`.

        None until the first complete state was put: nothing may be removed before that.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        return self._state


class Realise(Protocol):
    """A backend's one verb: make this node look like `state`, idempotently."""

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE, /) -> progress.Outcome:
        """What happened. Expected failures are in the outcome, only defects are raised.

        Reads again what `look` names; elsewhere it may trust what it left there.
        """
        ...


Report = Callable[[progress.Backend, progress.Outcome], None]
OnDefect = Callable[[progress.Backend, Exception], None]
Begin = Callable[[progress.Backend], None]  # a pass begins; `Report` ends it


def backoff_s(failures_in_a_row: int, jitter: float) -> float:
    """Seconds to wait before the next try: doubles from 0.2 to 10, ±10 % by `jitter` in 0..1."""
    doublings = min(max(0, failures_in_a_row - 1), BACKOFF_DOUBLINGS)
    base: float = min(BACKOFF_LIMIT_S, BACKOFF_FIRST_S * 2**doublings)
    return base * (0.9 + 0.2 * jitter)


IsVain = Callable[[str], bool]  # whether another backend failed at what an object waits for


def hopeful(_subject: str) -> bool:
    """An `IsVain` that knows of no failure."""
    return False


WasRealised = Callable[[ids.Revision], bool]  # by an earlier process, in the very same kernel


def unknown(_revision: ids.Revision) -> bool:
    """A `WasRealised` that knows of no earlier process."""
    return False


def pauses_s(patience_s: float) -> Iterator[float]:
    """Seconds to wait between looks at what another backend makes for the same revision.

    It takes milliseconds mostly: the first pauses are short, the sum reaches `patience_s`.
    """
    pause, waited = PAUSE_FIRST_S, 0.0
    while waited < patience_s:
        yield pause
        waited += pause
        pause = min(PAUSE_LIMIT_S, pause * PAUSE_GROWTH)


async def run(
    backend: progress.Backend,
    realiser: Realise,
    slot: Slot,
    *,
    report: Report,
    on_defect: OnDefect,
    jitter: Callable[[], float],
    clock: Callable[[], float],
    resync_s: float = RESYNC_S,
    limit_s: float = LIMIT_S,
    begin: Begin = lambda _: None,
) -> Never:
    """Realise whatever the slot holds, for ever; ends by cancellation only.

    A defect in one pass is reported as a failure of everything and tried again like any other; so
    is what the machine lacks for a whole pass, which is no defect, and a pass that takes longer
    than `limit_s`, and `SANDBOX_S` more for each sandbox.
    Each pass looks where the kicks say, and within `resync_s` everything was looked at however fast
    new states come.
    `clock` is monotonic, in seconds; each outcome says how long its pass took.
    """
    sweep, passes = Sweep(resync_s), fence.Fence()
    failed, wait_s = 0, resync_s
    while True:
        state = await slot.next(wait_s)
        if state is None:
            continue
        begun = clock()
        is_broken = False
        look = sweep.look(begun, len(state.sandboxes), slot.look(), again=failed > 0)
        begin(backend)
        try:
            # Apart: what one pass leaves behind must not end the loop.
            with passes.term():  # and what it leaves to threads must not meet the next one
                outcome = await apart.within(
                    realiser.realise(state, look),
                    f"a pass of the {backend} backend",
                    limit_s + len(state.sandboxes) * SANDBOX_S,
                )
        except Exception as exc:  # noqa: BLE001 - the one place where a backend's defect ends
            if (refused := lacks.told(exc)) is None:
                on_defect(backend, exc)
            is_broken = True
            outcome = _broken(backend, state.revision, refused or _unforeseen(exc))
            sweep.forget()
        ended = clock()
        failed = failed + 1 if outcome.failures else 0
        report(backend, replace(outcome, seconds=ended - begun))
        # After that everything is looked at again, but not at once: it will mostly be the same.
        due_s = math.inf if is_broken else sweep.wait_s(ended, len(state.sandboxes))
        wait_s = min(due_s, outcome.again_s, backoff_s(failed, jitter()) if failed else math.inf)


def _unforeseen(exc: Exception) -> errors.SddError:
    if isinstance(exc, errors.Defect) and exc.code == apart.HUNG:
        return exc
    return errors.Defect(repr(exc), hint="this is a bug in sdd; the log has its traceback")


def _broken(
    backend: progress.Backend, revision: ids.Revision, why: errors.SddError
) -> progress.Outcome:
    failure = progress.Failure(
        subject=progress.EVERYTHING,
        sentence=f"the {backend} backend failed on revision {revision}: {why.sentence}",
        hint=why.hint,
        code=why.code,
    )
    return progress.Outcome(revision=revision, failures=(failure,))

"""The loop: newest state wins, failures are tried again, defects are told, nothing is lost."""

import asyncio
import errno
import math
from itertools import count

import pytest

from sdd import errors, reconcile
from sdd.model import ids, progress
from sdd.model.look import EVERYWHERE, HOST, NOWHERE, Look
from sdd.model.progress import Backend, Outcome
from sdd.state import ClusterState
from tests.support import LoopClock

LIMIT_S = 60.0


def at(revision: int) -> ClusterState:
    return ClusterState(revision=ids.Revision(revision))


class Script:
    """A backend that does as it is told per pass: None = fine, a failure, or an exception."""

    def __init__(
        self, *verdicts: progress.Failure | Exception | None, again_s: float = math.inf
    ) -> None:
        self.verdicts = list(verdicts)
        self.again_s = again_s
        self.seen: list[int] = []
        self.looks: list[Look] = []
        self.reports: list[Outcome] = []
        self.defects: list[Exception] = []
        self.told = asyncio.Event()

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE) -> Outcome:
        self.seen.append(state.revision)
        self.looks.append(look)
        await asyncio.sleep(0)  # others get their turn, as they do while a kernel works
        verdict = self.verdicts.pop(0) if self.verdicts else None
        if isinstance(verdict, Exception):
            raise verdict
        failures = (verdict,) if verdict else ()
        return Outcome(revision=state.revision, failures=failures, again_s=self.again_s)

    def report(self, _backend: Backend, outcome: Outcome) -> None:
        self.reports.append(outcome)
        self.told.set()

    async def reported(self, times: int) -> None:
        """Until so many passes have ended."""
        async with asyncio.timeout(2 * LIMIT_S):
            while len(self.reports) < times:
                self.told.clear()
                await self.told.wait()


async def play(
    script: Script,
    slot: reconcile.Slot,
    times: int,
    *,
    resync_s: float = 60,
    report: reconcile.Report | None = None,
    limit_s: float = 60,
) -> None:
    """Runs the loop until it reported `times` passes."""
    ticks = count()
    loop = reconcile.run(
        Backend.NETNS,
        script,
        slot,
        report=report or script.report,
        on_defect=lambda _, exc: script.defects.append(exc),
        jitter=lambda: 0.5,
        clock=lambda: float(next(ticks)),
        resync_s=resync_s,
        limit_s=limit_s,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(loop, name="loop")
        await script.reported(times)
        running.cancel()


async def test_only_the_newest_state_of_a_burst_is_realised() -> None:
    script, slot = Script(), reconcile.Slot()
    for revision in (1, 2, 3):
        slot.put(at(revision))
    await play(script, slot, 1)
    assert script.seen == [3]
    assert script.reports[0].seconds == 1


async def test_nothing_happens_before_the_first_state() -> None:
    script, slot = Script(), reconcile.Slot()
    slot.kick()
    async with asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(play(script, slot, 1, resync_s=0.01), name="play")
        await asyncio.sleep(0)
        slot.put(at(7))
        await playing
    assert script.seen == [7]


async def test_a_failure_is_tried_again_without_a_new_state() -> None:
    script = Script(progress.Failure(subject="x", sentence="no"))
    slot = reconcile.Slot()
    slot.put(at(1))
    await play(script, slot, 2)
    assert script.seen == [1, 1]
    assert [len(each.failures) for each in script.reports] == [1, 0]


@pytest.mark.parametrize(
    ("lack", "why"),
    [
        (errors.Unavailable("the list changes faster than it is read"), "the list changes faster"),
        (OSError(errno.EMFILE, "x"), "too many open files"),
    ],
    ids=repr,
)
async def test_what_the_machine_lacks_is_no_defect(lack: Exception, why: str) -> None:
    script, slot = Script(lack), reconcile.Slot()
    slot.put(at(1))
    await play(script, slot, 2)
    assert script.defects == []
    (failure,) = script.reports[0].failures
    assert failure.sentence.startswith(f"the netns backend failed on revision 1: {why}")
    assert "bug" not in failure.hint
    assert not script.reports[1].failures


async def test_a_defect_is_told_fails_everything_and_is_tried_again() -> None:
    script = Script(RuntimeError("boom"))
    slot = reconcile.Slot()
    slot.put(at(1))
    await play(script, slot, 2)
    assert [str(each) for each in script.defects] == ["boom"]
    assert script.reports[0].failures[0].subject == progress.EVERYTHING
    assert not script.reports[1].failures


class Hurried(reconcile.Slot):
    """Nobody waits here; `waits` are the seconds for which somebody wanted to."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def next(self, timeout_s: float) -> ClusterState | None:
        self.waits.append(timeout_s)
        return await super().next(0)


@pytest.mark.parametrize(
    "verdict", [RuntimeError("boom"), progress.Failure(subject="x", sentence="no")]
)
async def test_what_fails_for_days_is_tried_every_ten_seconds(
    verdict: progress.Failure | Exception,
) -> None:
    script, slot = Script(*[verdict] * 1500), Hurried()
    slot.put(at(1))
    await play(script, slot, 1400)
    assert slot.waits[1:6] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2])
    assert set(slot.waits[7:1400]) == {10.0}


async def test_it_looks_again_by_itself() -> None:
    script, slot = Script(), reconcile.Slot()
    slot.put(at(1))
    await play(script, slot, 3, resync_s=0.001)
    assert script.seen == [1, 1, 1]


async def test_a_state_that_changes_with_time_is_realised_again_when_it_says() -> None:
    script, slot = Script(again_s=0.001), reconcile.Slot()
    slot.put(at(1))
    await play(script, slot, 3)
    assert script.seen[:3] == [1, 1, 1]
    assert script.looks[1:3] == [NOWHERE, NOWHERE]


async def test_after_the_first_pass_it_looks_where_the_kicks_say() -> None:
    script, slot = Script(), reconcile.Slot()
    slot.put(at(1))

    def react(backend: Backend, outcome: Outcome) -> None:
        if not script.reports:
            slot.kick(Look(spaces=frozenset({"/a"})))
            slot.kick(Look(links=frozenset({"sdd0"})))
        elif len(script.reports) == 1:
            slot.put(at(2))
        script.report(backend, outcome)

    await play(script, slot, 3, report=react)
    both = Look(spaces=frozenset({"/a"}), links=frozenset({"sdd0"}))
    assert script.looks == [EVERYWHERE, both, NOWHERE]


async def test_states_that_never_stop_do_not_keep_it_from_looking_everywhere() -> None:
    script, slot = Script(), reconcile.Slot()
    slot.put(at(1))

    def react(backend: Backend, outcome: Outcome) -> None:
        slot.put(at(outcome.revision + 1))
        script.report(backend, outcome)

    await play(script, slot, 7, resync_s=5, report=react)  # each pass takes two ticks
    assert [look.everywhere for look in script.looks[:7]] == [True, False, False] * 2 + [True]


async def test_after_a_failure_it_looks_everywhere() -> None:
    script, slot = Script(None, progress.Failure(subject="x", sentence="no")), reconcile.Slot()
    slot.put(at(1))

    def react(backend: Backend, outcome: Outcome) -> None:
        if not script.reports:
            slot.put(at(2))
        script.report(backend, outcome)

    await play(script, slot, 3, report=react)
    assert script.looks == [EVERYWHERE, NOWHERE, EVERYWHERE]


def test_looks_add_up_and_everywhere_swallows_the_rest() -> None:
    one = Look(spaces=frozenset({"/a"}))
    assert NOWHERE | one == one
    assert (one | EVERYWHERE) == EVERYWHERE
    assert one.covers("/a")
    assert not one.covers(HOST)
    assert EVERYWHERE.covers("/b")


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.2), (2, 0.4), (6, 6.4), (7, 10), (5000, 10)]
)
def test_the_back_off_doubles_up_to_its_limit(failures: int, seconds: float) -> None:
    assert reconcile.backoff_s(failures, 0.5) == pytest.approx(seconds)
    assert reconcile.backoff_s(failures, 0) == pytest.approx(seconds * 0.9)


def test_pauses_start_short_and_use_up_the_patience() -> None:
    pauses = list(reconcile.pauses_s(2.0))
    assert pauses[0] == 0.001
    assert max(pauses) == 0.02
    assert 2.0 <= sum(pauses) < 2.03


class Grouped(Script):
    """Its first pass fails in a group of tasks, as that of a backend that does two things."""

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE) -> Outcome:
        async with asyncio.TaskGroup() as both:
            both.create_task(super().realise(state, look), name="one")
            both.create_task(asyncio.sleep(0), name="other")
        return Outcome(revision=state.revision)


async def test_a_defect_in_a_group_of_tasks_does_not_end_the_loop() -> None:
    script, slot = Grouped(RuntimeError("boom")), reconcile.Slot()
    slot.put(at(1))
    await play(script, slot, 3, resync_s=0.001)
    assert [len(each.failures) for each in script.reports[:3]] == [1, 0, 0]


class Hanging(Script):
    """Its first pass waits for what never comes, while `LIMIT_S` pass."""

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE) -> Outcome:
        if not self.seen:
            self.seen.append(state.revision)
            LoopClock().forward(LIMIT_S)
            await asyncio.get_running_loop().create_future()
        return await super().realise(state, look)


async def test_a_pass_that_hangs_is_given_up_told_and_tried_again() -> None:
    script, slot = Hanging(), reconcile.Slot()
    slot.put(at(3))
    await play(script, slot, 2, limit_s=LIMIT_S)
    (failure,) = script.reports[0].failures
    assert (failure.code, failure.subject) == ("SDD-BACKEND-HUNG", progress.EVERYTHING)
    assert "revision 3: a pass of the netns backend was given up" in failure.sentence
    assert script.seen == [3, 3]
    assert not script.reports[1].failures

"""What the daemon makes of a pass: counts, lines of the log."""

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Never

from structlog.testing import capture_logs

from sdd import config as configuration
from sdd import contained
from sdd.control import feed, journal, progress
from sdd.daemon import Daemon, Part, told
from sdd.defects import Defects, Unit
from sdd.model import absence
from sdd.model.ids import Revision
from sdd.model.look import EVERYWHERE, HOST, Look
from sdd.model.progress import Backend, Failure, Outcome
from sdd.reconcile import Slot
from sdd.state import ClusterState
from sdd.store.memory import MemoryStore
from tests.support import eventually_async
from tests.unit.sdd.api.appliance import Appliance


def daemon(one: Appliance) -> Daemon:
    return Daemon(
        settings=configuration.InForce(configuration.Config()),
        feed=feed.Feed(MemoryStore()),
        progress=progress.Progress(tuple(Backend)),
        registry=one.registry,
        parts=(),
        followers={},
        watches={},
        journal=journal.Journal(time.time),
        context=replace(one.context, defects=Defects(told)),
    )


def _broken(subject: str) -> Failure:
    found = contained.attempt(lambda: {"a": 1}["b"], subject, f"{subject} is not there")
    assert isinstance(found, Failure)
    return found


def test_the_log_has_the_traceback_of_a_spoilt_object_once() -> None:
    """However many it spoils, and however often it is tried."""
    one = daemon(Appliance())
    failures = (_broken("web"), _broken("db"), Failure(subject="x", sentence="no"))
    with capture_logs() as lines:
        one._report(Backend.LB, Outcome(revision=Revision(1), failures=(_broken("web"),)))
        one._report(Backend.LB, Outcome(revision=Revision(2), failures=failures))
    (line,) = [each for each in lines if "traceback" in each]
    assert (line["unit"], line["about"], line["what"]) == ("object", "lb", "KeyError('b')")
    assert "in <lambda>" in line["traceback"]
    assert one.context.defects.count(Unit.OBJECT) == 2  # one more each that is not as wanted


def test_the_log_has_the_traceback_of_a_broken_pass_once() -> None:
    one = daemon(Appliance())
    with capture_logs() as lines:
        for text in ("one", "two"):
            one._defect(Backend.LB, RuntimeError(text))
    assert [each["what"] for each in lines] == ["RuntimeError('one')"]
    assert one.context.defects.count(Unit.PASS) == 2


def test_what_three_backends_meet_in_the_same_words_is_one_line_of_the_log() -> None:
    one = daemon(Appliance())
    gone = absence.of("box", "a", "/ns/a", is_adopted=True)
    backends = (Backend.LB, Backend.NETNS, Backend.RESOLVER)
    with capture_logs() as lines:
        for _ in range(2):
            for backend in backends:
                one._report(backend, Outcome(revision=Revision(1), failures=(gone,)))
    (told,) = [each for each in lines if each["log_level"] == "warning"]
    assert (told["event"], told["why"]) == ("reconcile.failure", gone.sentence)
    with capture_logs() as lines:
        for backend in backends:
            one._report(backend, Outcome(revision=Revision(2)))
    assert [each["event"] for each in lines if each["log_level"] == "info"] == ["reconcile.over"]


class Starved:
    """A follower and a watch that find no descriptor left when they begin for the first time."""

    def __init__(self) -> None:
        self.begun = {"follower": 0, "watch": 0}
        self.goes_on = asyncio.Event()

    async def follow(self, slot: Slot) -> Never:
        while True:
            await slot.next(60)
            self.begin("follower")

    async def watch(self, kick: Callable[[Look], None]) -> Never:
        kick(Look(spaces=frozenset({HOST})))
        self.begin("watch")
        await asyncio.Event().wait()
        raise AssertionError

    def begin(self, which: str) -> None:
        self.begun[which] += 1
        if self.begun[which] == 1:
            raise OSError(errno.EMFILE, "too many open files")
        if all(each > 1 for each in self.begun.values()):
            self.goes_on.set()


async def test_what_finds_no_descriptor_begins_anew_and_the_daemon_goes_on() -> None:
    """A follower finds the state that it had taken before, a watch has everything looked at."""
    starved, realiser = Starved(), Idle()
    one = replace(
        daemon(Appliance()),
        feed=feed.Feed(MemoryStore()),
        followers={"follower": starved.follow},
        watches={"watch": starved.watch},
        parts=(Part(Backend.LB, realiser, Slot()),),
    )
    await one.feed.start()
    async with asyncio.TaskGroup() as tasks:
        before = asyncio.all_tasks()
        one._start(tasks)
        ours = asyncio.all_tasks() - before
        async with asyncio.timeout(60):
            await starved.goes_on.wait()
        await eventually_async(lambda: realiser.looks.count(EVERYWHERE) > 1, 60, "looked at anew")
        for each in ours:
            each.cancel()


class Idle:
    """Notes where it looks."""

    def __init__(self) -> None:
        self.looks: list[Look] = []

    async def realise(self, state: ClusterState, look: Look = EVERYWHERE) -> Outcome:
        self.looks.append(look)
        return Outcome(revision=state.revision)

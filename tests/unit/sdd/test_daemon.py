"""What the daemon makes of a pass: counts, lines of the log."""

import time
from dataclasses import replace

from structlog.testing import capture_logs

from sdd import config as configuration
from sdd import contained
from sdd.control import feed, journal, progress
from sdd.daemon import Daemon, told
from sdd.defects import Defects, Unit
from sdd.model import absence
from sdd.model.ids import Revision
from sdd.model.progress import Backend, Failure, Outcome
from sdd.store.memory import MemoryStore
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

"""The DNS worker's fate reaches log, events, metric and status in the same words."""

import structlog.testing

from metrics.registry import Registry
from resolver.control.launch import Change, Step
from sdd.control import standing
from sdd.control.journal import Journal
from sdd.model.event import Action
from sdd.model.ids import Revision
from sdd.model.progress import EVERYTHING, Backend, Outcome

MADE = {each: Outcome(revision=Revision(3)) for each in Backend}


async def test_every_step_is_logged_and_what_matters_is_an_event() -> None:
    journal, page = Journal(lambda: 5.0), Registry("x", clock=lambda: 5.0)
    tell = standing.teller(journal, page)
    with structlog.testing.capture_logs() as logged:
        for step in (Step.STARTED, Step.ADOPTED, Step.ENDED, Step.DISMISSED):
            tell(Change(step=step, pid=7, reason="why not"))
    assert [(each["event"], each["log_level"]) for each in logged] == [
        ("dns.worker.started", "info"),
        ("dns.worker.adopted", "info"),
        ("dns.worker.ended", "warning"),
        ("dns.worker.dismissed", "warning"),
    ]
    assert all((each["pid"], each["why"]) == (7, "why not") for each in logged)
    told = journal.after(0)
    assert [each.action for each in told] == [
        Action.WORKER_START,
        Action.WORKER_END,
        Action.WORKER_END,
    ]
    assert dict(told[0].attributes) == {"pid": "7", "reason": "why not"}
    text, _ = await page.render("")
    assert b"\nsdd_dns_worker_starts_total 1.0\n" in text


def test_names_fail_as_a_whole_while_the_worker_has_a_trouble() -> None:
    trouble = "it does not answer"
    now = standing.progress(lambda: MADE, lambda: trouble)()
    (failure,) = now[Backend.RESOLVER].failures
    assert (failure.subject, failure.sentence) == (EVERYTHING, "it does not answer")
    assert now[Backend.LB] is MADE[Backend.LB]
    assert standing.progress(lambda: MADE, lambda: "")() == MADE
    assert standing.progress(dict, lambda: trouble)() == {}

"""How the DNS worker stands: told in the log, as events, as a metric and in the status.

In: the launcher's changes and its trouble. Out: the same in each of these tongues. Nothing is
decided here.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import structlog

from metrics import registry
from resolver.control import launch
from sdd.control import journal
from sdd.model.event import Action, Kind
from sdd.model.progress import EVERYTHING, Backend, Failure, Outcome

Progress = Callable[[], Mapping[Backend, Outcome]]

HINT = "sdd starts another one by itself; `sdctl logs` tells what became of this one"
EVENTS: Mapping[launch.Step, Action] = MappingProxyType(
    {
        launch.Step.STARTED: Action.WORKER_START,
        launch.Step.ENDED: Action.WORKER_END,
        launch.Step.DISMISSED: Action.WORKER_END,
    }
)

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


def teller(history: journal.Journal, page: registry.Registry) -> Callable[[launch.Change], None]:
    """What to call with every change of the worker."""

    def told(change: launch.Change) -> None:
        is_loss = change.step in (launch.Step.ENDED, launch.Step.DISMISSED)
        log = say.warning if is_loss else say.info
        log(f"dns.worker.{change.step}", pid=change.pid, why=change.reason)
        if change.step is launch.Step.STARTED:
            page.worker_started()
        if action := EVENTS.get(change.step):
            attributes = {"pid": str(change.pid), "reason": change.reason}
            history.tell(Kind.DAEMON, action, attributes=attributes)

    return told


def noted(pid: int, text: str) -> None:
    """Log a line that a worker has for people."""
    say.warning("dns.worker.note", pid=pid, text=text)


def progress(made: Progress, trouble: Callable[[], str]) -> Progress:
    """`made`, in which names fail as a whole while the worker has a `trouble`."""

    def now() -> Mapping[Backend, Outcome]:
        outcomes, sentence = made(), trouble()
        last = outcomes.get(Backend.RESOLVER)
        if not sentence or last is None:
            return outcomes
        failure = Failure(subject=EVERYTHING, sentence=sentence, hint=HINT, code="SDD-DNS-WORKER")
        failing = replace(last, failures=(failure, *last.failures))
        return MappingProxyType({**outcomes, Backend.RESOLVER: failing})

    return now

"""How long each backend has been behind the store, or at one and the same pass.

In: each new state, the passes' beginnings and outcomes. Out: seconds, and what people are told when
it is many. A backend that waits for something that never comes reports nothing by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from sdd.model import ids
from sdd.model.progress import EVERYTHING, Backend, Failure, Outcome
from sdd.state import ClusterState

Outcomes = Callable[[], Mapping[Backend, Outcome]]

BEHIND_S: Final = 20.0  # passes take milliseconds; the resolver waits up to 10 s for what carries
GRAIN_S: Final = 1.0  # revisions that came within this of each other are as old as their first
HINT: Final = "a pass is given up after two minutes or more and tried again; see: sdctl logs"
CODE: Final = "SDD-BACKEND-BEHIND"


@dataclass(frozen=True, slots=True)
class _Mark:
    """When the first of the revisions up to `last` came."""

    last: ids.Revision
    at: float


class Lag:
    """`newest` are the last outcomes; `clock` is monotonic, in seconds."""

    def __init__(self, newest: Outcomes, clock: Callable[[], float]) -> None:
        self._newest = newest
        self._clock = clock
        self._marks: list[_Mark] = []
        self._begun: dict[Backend, float] = {}
        self._revision = ids.NEVER

    def published(self, state: ClusterState) -> None:
        """There is a new state for the backends."""
        now, self._revision = self._clock(), state.revision
        slowest = min(map(self._at, Backend))
        self._marks = [each for each in self._marks if each.last > slowest]
        if self._marks and now - self._marks[-1].at < GRAIN_S:
            self._marks[-1] = replace(self._marks[-1], last=state.revision)
        else:
            self._marks.append(_Mark(state.revision, now))

    def began(self, backend: Backend) -> None:
        """A pass of the backend begins."""
        self._begun[backend] = self._clock()

    def ended(self, backend: Backend) -> None:
        """It is over, and its outcome is known."""
        self._begun.pop(backend, None)

    def seconds(self) -> Mapping[Backend, float]:
        """For how long each backend has been behind or at one pass; 0 for one that waits for news.

        Behind: since the first revision came that it has not realised.
        """
        now = self._clock()
        return {each: max(0.0, now - self._since(each, now)) for each in Backend}

    def sentences(self) -> Mapping[Backend, str]:
        """What is to be told of those that have been for more than `BEHIND_S`."""
        return {
            backend: self._sentence(backend, seconds)
            for backend, seconds in self.seconds().items()
            if seconds > BEHIND_S
        }

    def outcomes(self) -> Mapping[Backend, Outcome]:
        """The newest outcomes, in which such a backend fails as a whole."""
        made, said = self._newest(), self.sentences()
        if not said:
            return made
        return MappingProxyType(
            {
                backend: _failing(outcome, said[backend]) if backend in said else outcome
                for backend, outcome in made.items()
            }
        )

    def _since(self, backend: Backend, now: float) -> float:
        reached = self._at(backend)
        first = next((each.at for each in self._marks if each.last > reached), now)
        return min(first, self._begun.get(backend, now))

    def _at(self, backend: Backend) -> ids.Revision:
        outcome = self._newest().get(backend)
        return ids.NEVER if outcome is None else outcome.revision

    def _sentence(self, backend: Backend, seconds: float) -> str:
        reached = self._at(backend)
        if reached == self._revision:
            return f"{backend} has been at one pass over revision {reached} for {seconds:.0f} s"
        return (
            f"{backend} has been behind for {seconds:.0f} s: it is at revision {reached}, the store"
            f" at {self._revision}"
        )


def _failing(outcome: Outcome, sentence: str) -> Outcome:
    failure = Failure(subject=EVERYTHING, sentence=sentence, hint=HINT, code=CODE)
    return replace(outcome, failures=(failure, *outcome.failures))

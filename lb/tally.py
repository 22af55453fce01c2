"""How checks went, per service: how many, how long, how many failed, or could not be made.

In: results. Out: sums for the page of metrics.
"""

from dataclasses import dataclass, replace

from lb.dial import Result
from lb.unmade import Unmade
from sdd.model import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Since this daemon began; `unmade` are no checks."""

    checks: int = 0
    seconds: float = 0.0
    failures: int = 0
    unmade: int = 0


class Tally:
    """Takes each result as the probes get it."""

    def __init__(self) -> None:
        self._services: dict[ids.ServiceId, Checked] = {}

    def told(self, of: ids.ServiceId, result: Result | Unmade, seconds: float) -> None:
        """A check of a member of `of` took `seconds`."""
        known = self._services.get(of, Checked())
        if isinstance(result, Unmade):
            self._services[of] = replace(known, unmade=known.unmade + 1)
            return
        self._services[of] = replace(
            known,
            checks=known.checks + 1,
            seconds=known.seconds + seconds,
            failures=known.failures + (not result.passed),
        )

    def of(self, svc: ids.ServiceId) -> Checked:
        """What is known of one service."""
        return self._services.get(svc, Checked())

    def forget(self, but: frozenset[ids.ServiceId]) -> None:
        """Services that are gone."""
        self._services = {svc: each for svc, each in self._services.items() if svc in but}

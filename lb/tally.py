"""How checks went, per service: how many, how long, how many failed. For the page of metrics."""

from dataclasses import dataclass, replace

from lb.dial import Result
from sdd.model import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Since this daemon began."""

    checks: int = 0
    seconds: float = 0.0
    failures: int = 0


class Tally:
    """Takes each result as the probes get it."""

    def __init__(self) -> None:
        self._services: dict[ids.ServiceId, Checked] = {}

    def told(self, of: ids.ServiceId, result: Result, seconds: float) -> None:
        """A check of a member of `of` took `seconds`."""
        known = self._services.get(of, Checked())
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

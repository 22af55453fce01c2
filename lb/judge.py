"""Results of checks → the status of a member: the rise and fall rule, without time or sockets."""

from dataclasses import dataclass

from sdd.model.health import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`against` counts the results in a row that speak against `status`."""

    status: Status = Status.STARTING
    against: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether the last result spoke against the status, or there is none yet."""
        return self.against > 0 or self.status is Status.STARTING


def judged(before: Standing, *, passed: bool, rise: int, fall: int) -> Standing:
    """The standing after one more result.

    `rise` passes in a row make a member UP, `fall` failures in a row make it DOWN; a result that
    agrees with the status forgets what spoke against it. A member that starts has passed nothing
    yet: its failures count towards DOWN and its passes towards UP, whichever row is unbroken.
    """
    if before.status is Status.STARTING:
        return _started(before, passed=passed, rise=rise, fall=fall)
    if passed == (before.status is Status.UP):
        return Standing(status=before.status)
    against = before.against + 1
    if against < (rise if passed else fall):
        return Standing(status=before.status, against=against)
    return Standing(status=Status.UP if passed else Status.DOWN)


def _started(before: Standing, *, passed: bool, rise: int, fall: int) -> Standing:
    # While starting, `against` is signed: passes count up, failures count down.
    if passed:
        row = max(before.against, 0) + 1
        return Standing(status=Status.UP) if row >= rise else Standing(against=row)
    row = min(before.against, 0) - 1
    return Standing(status=Status.DOWN) if -row >= fall else Standing(against=row)

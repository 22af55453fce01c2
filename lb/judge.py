"""Results of checks → the status of a member: the rise and fall rule, without time or sockets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lb.heard import Heard
from sdd.model.health import Said, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`against` counts the results in a row that speak against `status`.

    `doubts` is how many passes in a row it takes until a suspicion is forgotten; the sign that
    raised it counts as a result. `has_answered` is of the program that has the port: from its first
    answer on, silence is none.
    """

    status: Status = Status.STARTING
    against: int = 0
    doubts: int = 0
    has_answered: bool = False

    @property
    def is_denied(self) -> bool:
        """Whether a sign and the last result both speak against a member that is up."""
        return self.doubts > 0 and self.against > 1

    @property
    def is_suspect(self) -> bool:
        """Whether the last result spoke against the status, there is none yet, or signs did."""
        return self.against > 0 or self.doubts > 0 or self.status is Status.STARTING


def is_hung(standing: Standing, heard: Heard) -> bool:
    """Whether silence, which may be all that a program ever says, is a failure of this one."""
    return standing.has_answered and heard is Heard.SILENCE


def is_known_to_answer(standing: Standing, heard: Heard, *, was: bool) -> bool:
    """Whether the store is to say that this program has answered; `was`: it does so now.

    A program that comes and goes between two checks must not make the store write each time: of
    one that is up it is told that nobody is there only with its status, of one that is not up it is
    told no sooner that it answers.
    """
    if standing.status is Status.UP:
        return standing.has_answered or (was and heard is Heard.NOBODY)
    return standing.has_answered and was


def judged(
    before: Standing, *, passed: bool, rise: int, fall: int, heard: Heard = Heard.WORDS
) -> Standing:
    """The standing after one more result.

    `rise` passes in a row make a member UP, `fall` failures in a row make it DOWN; a result that
    agrees with the status forgets what spoke against it. A member that starts has passed nothing
    yet: its failures count towards DOWN and its passes towards UP, whichever row is unbroken.
    """
    now = _turned(before, passed=passed, rise=rise, fall=fall)
    return replace(now, has_answered=_has_answered(before, heard, passed=passed))


def _has_answered(before: Standing, heard: Heard, *, passed: bool) -> bool:
    """A program that hangs stays known, though it be down; one that is gone is not."""
    if passed and heard is Heard.WORDS:
        return True
    return before.has_answered and heard is not Heard.NOBODY


def _turned(before: Standing, *, passed: bool, rise: int, fall: int) -> Standing:
    if before.status is Status.STARTING:
        return _started(before, passed=passed, rise=rise, fall=fall)
    if passed == (before.status is Status.UP):
        return Standing(status=before.status, doubts=max(0, before.doubts - 1))
    against = before.against + 1
    if against < (rise if passed else fall):
        return replace(before, against=against)
    return Standing(status=Status.UP if passed else Status.DOWN)


def doubted(before: Standing, *, rise: int, fall: int) -> Standing:
    """The standing after a sign that a member that is up may not be: it alone turns nothing.

    With the checks that fail after it, it counts as one of the `fall` that it takes.
    """
    if before.status is not Status.UP:
        return before
    return replace(before, doubts=rise, against=max(before.against, min(1, fall - 1)))


def taken_up(said: Said, failing: Sequence[bool]) -> list[Standing]:
    """The standing at each of its addresses of a member of which the store says `said`.

    `failing` tells of each address whether it is among those that the store knows to fail.
    """
    return [Standing(status=Status.DOWN if each else said.status) for each in failing]


def summed(standings: Sequence[Standing]) -> Status:
    """The status of a member: it is up where it answers in one IP version, down in none."""
    found = {each.status for each in standings}
    if Status.UP in found:
        return Status.UP
    return Status.STARTING if Status.STARTING in found else Status.DOWN


def _started(before: Standing, *, passed: bool, rise: int, fall: int) -> Standing:
    # While starting, `against` is signed: passes count up, failures count down.
    if passed:
        row = max(before.against, 0) + 1
        return Standing(status=Status.UP) if row >= rise else Standing(against=row)
    row = min(before.against, 0) - 1
    return Standing(status=Status.DOWN) if -row >= fall else Standing(against=row)

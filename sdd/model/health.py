"""The judged state of one member of one service; written on transitions only."""

from dataclasses import dataclass
from enum import StrEnum

from sdd.model import ids


class Status(StrEnum):
    """A member whose service has a check and that has no verdict yet is `STARTING`."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Said:
    """What checks found of a member; fields as in `Verdict`."""

    status: Status
    reason: str
    failing: tuple[int, ...] = ()
    ingress_failing: tuple[int, ...] = ()
    answered: tuple[int, ...] = ()
    ingress_answered: tuple[int, ...] = ()

    @property
    def ways(self) -> tuple[object, ...]:
        """What it says of each way to the member: with the status all that makes it another."""
        return self.failing, self.ingress_failing, self.answered, self.ingress_answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`since` is seconds since the epoch, `reason` a short text such as "connect refused".

    `failing` are the IP versions in which a member that is up does not answer, `ingress_failing`
    those in which it does not at its address on the network `ingress`. `answered` and
    `ingress_answered` are those in which a program with a udp check has answered one, so that its
    silence says that it hangs; empty with other checks.
    """

    service: ids.ServiceId
    endpoint: ids.EndpointId
    status: Status
    since: float = 0.0
    reason: str = ""
    failing: tuple[int, ...] = ()
    ingress_failing: tuple[int, ...] = ()
    answered: tuple[int, ...] = ()
    ingress_answered: tuple[int, ...] = ()

    @property
    def said(self) -> Said:
        """What of it a check found."""
        return Said(
            self.status,
            self.reason,
            self.failing,
            self.ingress_failing,
            self.answered,
            self.ingress_answered,
        )

    @property
    def is_split(self) -> bool:
        """Whether it is up in one way and not in another."""
        return bool(self.failing or self.ingress_failing)

    def answers(self, version: int, *, is_ingress: bool) -> bool:
        """Whether it is up for who comes by that IP version, or by any (0).

        On `ingress` it answers from the same address, so it must be fit both here and there.
        """
        return (
            self.status is Status.UP
            and version not in self.failing
            and not (is_ingress and version in self.ingress_failing)
        )

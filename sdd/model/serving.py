"""A service's members and what they are judged → who serves it now, and why they.

Names and balancers both take their members from here, so that they never disagree. The modes are
those of HAProxy's `backup` servers with keepalived's `quorum`, and of Envoy's panic threshold.
A member may answer in one way and not in another, so each way has its own answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter

from sdd.model import ids
from sdd.model.service import Member, Service


class Mode(StrEnum):
    """Who serves."""

    MEMBERS = "members"  # those that are up
    BACKUPS = "backups"  # too few are up: the backups instead
    ALL = "all"  # so few are up that the checks are not believed


@dataclass(frozen=True, slots=True)
class Way:
    """How clients come: by which IP version, and whether by way of the network `ingress`."""

    version: int
    is_ingress: bool = False

    def __str__(self) -> str:
        return f"IPv{self.version}{' on ingress' if self.is_ingress else ''}"


@dataclass(frozen=True, slots=True)
class Serving:
    """`members` in the order given; those of weight 0 keep live connections and get nothing new."""

    mode: Mode
    members: tuple[Member, ...]

    def takes(self, end: ids.EndpointId) -> bool:
        """Whether the member of that endpoint gets anything new."""
        return any(each.share for each in self.members if each.endpoint == end)


def serving(
    svc: Service,
    members: Sequence[Member],
    is_up: Callable[[Member], bool] | None,
    answers: Callable[[Member], bool] | None = None,
) -> Serving:
    """Who serves `svc` in one way. What drains or weighs nothing does not count.

    Without `is_up` all are up; `answers` says it of this way, if that is not said of all. Fewer
    than `svc.quorum` answer: the backups that do, if there are any. Fewer than `svc.panic` percent
    up, in whatever way: all members that are no backups, but for those that are up and do not
    answer here, for of them the checks are believed. Else those that answer.
    """
    here = answers or is_up
    up = members if here is None else [each for each in members if here(each)]
    backups = [each for each in up if each.backup] if any(map(_BACKUP, up)) else []
    if not backups and not svc.panic:
        return Serving(Mode.MEMBERS, tuple(up))
    if _fit(up) < svc.quorum and any(each.share for each in backups):
        return Serving(Mode.BACKUPS, tuple(each if each.backup else _resting(each) for each in up))
    well = members if is_up is None else [each for each in members if is_up(each)]
    if 100 * _fit(well) < svc.panic * _fit(members):
        absent = {each.endpoint for each in well} - {each.endpoint for each in up}
        those = (each for each in members if not each.backup and each.endpoint not in absent)
        return Serving(Mode.ALL, tuple(those))
    return Serving(Mode.MEMBERS, tuple(_resting(each) if each.backup else each for each in up))


def _fit(members: Sequence[Member]) -> int:
    """How many of them count."""
    return sum(1 for each in members if each.share and not each.backup)


_BACKUP = attrgetter("backup")


def _resting(member: Member) -> Member:
    return replace(member, weight=0) if member.weight else member

"""What a backend reports: how far it is, and which objects it could not realise."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sdd.model import ids
from sdd.model.raised import Raised

EVERYTHING: Final = "*"  # the subject of a failure that concerns every object


class Backend(StrEnum):
    """The readers of state on each node."""

    NETNS = "netns"
    LB = "lb"
    PORTS = "ports"
    RESOLVER = "resolver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that is not as wanted.

    `subject` is the id of the object concerned (network, sandbox, endpoint or service), so that
    the command that waits for this object can say what failed. `cause` may be told otherwise each
    time (the pid of who is in the way): the failure is the same one all the while. `raised` is what
    nobody foresaw.
    """

    subject: str
    sentence: str
    hint: str = ""
    code: str = "SDD-KERNEL"
    cause: str = field(default="", compare=False)
    raised: Raised | None = field(default=None, compare=False, repr=False)

    @property
    def told(self) -> str:
        """For people: the sentence with its cause."""
        return f"{self.sentence}: {self.cause}" if self.cause else self.sentence


def told_once(failures: Iterable[Failure]) -> tuple[tuple[Failure, int], ...]:
    """Each reason with the first that it concerns, and how many it concerns.

    What only follows from the failure of another object has that one's words.
    """
    found: dict[tuple[str, str, str], list[Failure]] = {}
    for each in failures:
        found.setdefault((each.sentence, each.hint, each.code), []).append(each)
    return tuple((those[0], len(those)) for those in found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What somebody else had changed and is as it was again.

    Names say where and whose (`service` "" for what all of the sandbox share), words what.
    """

    sandbox: str
    service: str = ""
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of one pass of a reconciler over the state at `revision`.

    `changed` counts the steps that were needed, `repaired` those among them that undid a change
    made by somebody else (the same state had been realised before); `repairs` tells of them what
    the backend can name. `seconds` is the pass's time,
    `again_s` how soon the same state wants something else, since time passes.
    """

    revision: ids.Revision
    failures: tuple[Failure, ...] = ()
    changed: int = 0
    repaired: int = 0
    repairs: tuple[Repair, ...] = ()
    seconds: float = 0.0
    again_s: float = math.inf

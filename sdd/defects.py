"""A mistake of ours ends the unit of work that it is about, nothing beside it, and is told.

In: exceptions that nobody foresaw. Out: a count for each unit, and a traceback the first time that
one comes from its place: what fails a thousand times a second must not fill a disk. Where the unit
is an object of the state, `sdd.contained` makes its failure of it; docs/decisions/005 says why
these are the only two.
"""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType, TracebackType
from typing import Final

from sdd.model.raised import Raised


class Unit(StrEnum):
    """What ends with a defect; all others of its kind go on."""

    OBJECT = "object"  # of the state: a service, a sandbox, a network, a record
    PASS = "pass"  # noqa: S105 - of a backend, no secret
    REQUEST = "request"  # to the API
    LISTENER = "listener"  # of a sandbox: what it was at, not the listener itself
    SOCKET = "socket"  # one call of its reader
    QUESTION = "question"


OF_SDD: Final = (Unit.OBJECT, Unit.PASS, Unit.REQUEST)

Tell = Callable[[Unit, Raised, str], None]
"""Takes what has not been told yet, and whose it is."""


def printed(unit: Unit, raised: Raised, _about: str) -> None:
    """To stderr; a log that nobody reads any more ends nothing."""
    with contextlib.suppress(OSError, ValueError):  # a broken pipe, a full disk; closed
        sys.stderr.write(f"a defect ended a {unit}; told once\n{raised.trace}")
        sys.stderr.flush()


class Defects:
    """Those of one process."""

    def __init__(self, tell: Tell = printed) -> None:
        self._tell = tell
        self._counts: Counter[Unit] = Counter()
        self._told: set[tuple[Unit, str, str, str]] = set()  # no more than there are lines of ours

    def met(self, unit: Unit, raised: Raised, about: str = "") -> None:
        """One more; `about` says of what there are a few, such as the backend."""
        self._counts[unit] += 1
        known = (unit, about, raised.kind, raised.place)
        if known not in self._told:
            self._told.add(known)
            self._tell(unit, raised, about)

    def count(self, unit: Unit) -> int:
        """How many ended a `unit` so far."""
        return self._counts[unit]

    @property
    def counts(self) -> Mapping[Unit, int]:
        """How many so far, of each unit that met one."""
        return MappingProxyType(self._counts)

    def holding(self, unit: Unit) -> "Holding":
        """What holds a defect of one `unit`; good for any number of them, also at once."""
        return Holding(self, unit)


class Holding:
    """Whatever is raised within `with` ends there, is counted and told.

    Cancellations and the end of a generator are no defects and go their way.
    """

    __slots__ = ("_defects", "_unit")

    def __init__(self, defects: Defects, unit: Unit) -> None:
        self._defects = defects
        self._unit = unit

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        if not isinstance(exc, Exception):
            return False
        self.met(exc)
        return True

    def met(self, exc: Exception) -> None:
        """The same for a loop in which even `with` would be too dear."""
        self._defects.met(self._unit, Raised.of(exc))

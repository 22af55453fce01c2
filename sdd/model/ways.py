"""The ports of one object by where they lead, so that the others of a way are found at once.

An object may have thousands: to compare each with all others would take minutes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sdd.model.port import Port, Protocol

Way = tuple[int, Protocol, int]


class Ways:
    """The ports that were added, in their order."""

    def __init__(self, ports: Iterable[Port] = ()) -> None:
        self._all: list[Port] = []
        self._along: defaultdict[Way, list[Port]] = defaultdict(list)
        for each in ports:
            self.add(each)

    def add(self, port: Port) -> None:
        """One more."""
        self._all.append(port)
        self._along[_way(port)].append(port)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._all)

    def all(self) -> tuple[Port, ...]:
        """Every port, in the order in which they were added."""
        return tuple(self._all)

    def along(self, port: Port) -> Sequence[Port]:
        """Those with `port`'s published number, protocol and target; it may be one of them."""
        return self._along.get(_way(port), ())

    def is_beside(self, port: Port) -> bool:
        """Whether one of them and `port` are 127.0.0.1 and the rest of the same way."""
        return any(map(port.is_beside, self.along(port)))


def _way(port: Port) -> Way:
    return (port.published, port.protocol, port.target)

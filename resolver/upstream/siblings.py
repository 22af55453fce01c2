"""A and AAAA of one name: what is said of the one depends on the other.

In: an NXDOMAIN, new or remembered, the flights under way and the cache. Out: the same, or NODATA.
"""

from collections.abc import Callable, Mapping
from typing import Final

from resolver.message import reply, wire
from resolver.upstream import cache, flight, forward

FAMILIES: Final = {wire.A: wire.AAAA, wire.AAAA: wire.A}
MEND_S: Final = 0.3  # for the other one's answer: a wait for nothing if it does not come

Flights = Mapping[cache.Key, flight.Flight]


class Siblings:
    """Looks at the forwarder's flights and cache, changes neither."""

    def __init__(self, flights: Flights, known: cache.Cache, clock: Callable[[], float]) -> None:
        self._flights = flights
        self._known = known
        self._clock = clock

    def of(self, key: cache.Key) -> cache.Key | None:
        """The question for the other family, if anything is known of it, or soon will be."""
        kind = FAMILIES.get(key.kind)
        if kind is None:
            return None
        other = key._replace(kind=kind)
        is_known = other in self._flights or self._known.get(other, self._clock())
        return other if is_known else None

    def is_there(self, key: cache.Key) -> bool:
        """Whether the name is known to exist, by what was said to the other family's question."""
        other = key._replace(kind=FAMILIES.get(key.kind, key.kind))
        entry = self._known.get(other, self._clock())
        return entry is not None and entry.reply.rcode == wire.Rcode.NOERROR

    def holds(self, key: cache.Key, entry: cache.Entry, seconds: float) -> bool:
        """Whether what is made of `entry` and of the other family stays the same for so long.

        A failure by silence is over whenever a server is heard.
        """
        if entry.reply.rcode == wire.Rcode.SERVFAIL:
            return entry.reply.was_said and entry.expires >= self._clock() + seconds
        if entry.reply.rcode != wire.Rcode.NXDOMAIN or key.kind not in FAMILIES:
            return True
        now = self._clock()
        other = self._known.get(key._replace(kind=FAMILIES[key.kind]), now)
        if other is None or other.reply.rcode == wire.Rcode.SERVFAIL:
            return False
        return min(entry.expires, other.expires) >= now + seconds

    def is_open(self, key: cache.Key, found: reply.Reply) -> bool:
        """Whether `found` cannot be passed on before something is known of the other family."""
        if found.rcode != wire.Rcode.NXDOMAIN or key.kind not in FAMILIES:
            return False
        other = key._replace(kind=FAMILIES[key.kind])
        return self._known.get(other, self._clock()) is None

    def recalled(self, key: cache.Key, found: reply.Reply) -> reply.Reply:
        """As `mended`, of what is remembered of both."""
        other = self.of(key) if found.rcode == wire.Rcode.NXDOMAIN else None
        entry = self._known.get(other, self._clock()) if other else None
        return _of_two(found, entry.reply if entry else None)

    async def mended(self, key: cache.Key, began: float, found: reply.Reply) -> reply.Reply:
        """NXDOMAIN for one family while the other has addresses means: not of this type.

        musl fails the whole look-up for it, although it has the addresses (dns_and_users.md A1).
        """
        other = self.of(key) if found.rcode == wire.Rcode.NXDOMAIN else None
        if other is None:
            return found
        if running := self._flights.get(other):
            left_s = began + forward.TOTAL_S - self._clock()
            known = await running.heard(max(0.0, min(MEND_S, left_s)))
        else:
            entry = self._known.get(other, self._clock())
            known = entry.reply if entry else None
        return _of_two(found, known)


def other_of(query: wire.Query, data: bytes) -> tuple[wire.Query, bytes]:
    """The same question for the other family."""
    kind = FAMILIES[query.kind]
    tail = query.end - 4
    return query._replace(kind=kind), data[:tail] + kind.to_bytes(2, "big") + data[tail + 2 :]


def _of_two(found: reply.Reply, known: reply.Reply | None) -> reply.Reply:
    if known and known.rcode == wire.Rcode.NOERROR and known.answers:
        return reply.of_no_such_type(found)
    return found

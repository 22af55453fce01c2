"""Forwarded answers, kept until their TTL ends: bounded by entries and by bytes.

In: replies and the time. Out: replies with their TTLs counted down; never extended. Entries are
partitioned by the upstreams that were asked: sandboxes with other upstreams see nothing of them.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

from resolver import forward, wire

ENTRIES: Final = 10_000
BYTES: Final = 16 << 20
MOST_ENTRY: Final = 8192
POSITIVE_LIMIT_S: Final = 3600
NEGATIVE_LIMIT_S: Final = 300
FAILURE_S: Final = 5  # RFC 9520: failures are remembered, shortly
_OVERHEAD: Final = 300  # bytes of Python around an entry, measured with sys.getsizeof


class Key(NamedTuple):
    """What makes two questions the same."""

    partition: Hashable
    name: bytes
    kind: int
    klass: int
    flags: int  # RD and CD of the question, and DO


@dataclass(frozen=True, slots=True)
class Entry:
    """A reply as it came, with when, and where its TTLs lie."""

    reply: bytes
    stored: float
    expires: float
    ttls: tuple[int, ...]


class Cache:
    """Least recently used entries go first."""

    def __init__(self, *, entries: int = ENTRIES, size: int = BYTES) -> None:
        self._most_entries = entries
        self._most_bytes = size
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self.bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now: float) -> bytes | None:
        """The reply with what is left of its TTLs at `now` (seconds), or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry.expires:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return _aged(entry, int(now - entry.stored))

    def put(self, key: Key, reply: bytes, end: int, now: float) -> None:
        """Keep `reply`, whose question ends at `end`, as long as it allows; refuses big ones."""
        lifetime, ttls = lifetime_s(reply, end)
        if lifetime <= 0 or len(reply) > MOST_ENTRY:
            return
        self._drop(key)
        self._entries[key] = Entry(reply, now, now + lifetime, ttls)
        self.bytes += _cost(key, reply)
        while len(self._entries) > self._most_entries or self.bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))
            self.evicted += 1

    def flush(self) -> int:
        """Forget everything; how many entries there were."""
        count = len(self._entries)
        self._entries.clear()
        self.bytes = 0
        return count

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= _cost(key, entry.reply)


def _cost(key: Key, reply: bytes) -> int:
    return len(reply) + len(key.name) + _OVERHEAD


def lifetime_s(reply: bytes, end: int) -> tuple[int, tuple[int, ...]]:
    """Seconds for which a reply may be kept, and where its TTLs lie (RFC 2308 §5, RFC 9520)."""
    found = forward.layout(reply, end)
    if found is None:
        return 0, ()
    rcode = reply[3] & 0xF
    if rcode in (wire.Rcode.NOERROR, wire.Rcode.NXDOMAIN):
        if rcode == wire.Rcode.NOERROR and found.lowest is not None:
            return min(found.lowest, POSITIVE_LIMIT_S), found.ttls
        return min(found.negative or 0, NEGATIVE_LIMIT_S), found.ttls
    return (FAILURE_S if rcode == wire.Rcode.SERVFAIL else 0), found.ttls


def _aged(entry: Entry, seconds: int) -> bytes:
    if not seconds:
        return entry.reply
    aged = bytearray(entry.reply)
    for at in entry.ttls:
        left = max(0, forward.sane(int.from_bytes(aged[at : at + 4], "big")) - seconds)
        aged[at : at + 4] = left.to_bytes(4, "big")
    return bytes(aged)

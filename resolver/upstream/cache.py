"""Forwarded answers, kept until their TTL ends: bounded by entries and by bytes.

In: checked replies, for whom they were fetched, and the time. Out: entries and their age; a TTL is
never extended. What is over stays for a while, to be given only when nobody answers (RFC 8767).
Entries are partitioned by the upstreams that were asked: sandboxes with other upstreams see nothing
of them. Where room is wanted what is over makes it, then the sandbox that had most fetched.
"""

from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Final, NamedTuple

from resolver import protocol
from resolver.message import reply, wire
from resolver.upstream.ends import Ends
from resolver.upstream.holdings import NOBODY, Holdings

ROOT: Final = b"\0"
ENTRIES: Final = 10_000
BYTES: Final = 16 << 20
MOST_ENTRY: Final = 8192
POSITIVE_LIMIT_S: Final = reply.MOST_TTL_S
NEGATIVE_LIMIT_S: Final = 300
FAILURE_S: Final = 5  # RFC 9520: failures are remembered, shortly
FAILURES: Final = 1000  # of so many names at once: those of one sandbox push out nobody's answers
STALE_S: Final = 3600
# The part of the cache that what is over has before what is good, in even parts for all who hold
# such: a crawler's fresh names leave others something for bad times.
OVER: Final = 1 / 8
KINDS: Final = ("success", "denial", "failure")
_ANSWERS: Final = frozenset({wire.Rcode.NOERROR, wire.Rcode.NXDOMAIN})
_OVERHEAD: Final = 860  # bytes of Python around an entry, measured with tracemalloc
_RECORD_OVERHEAD: Final = 80  # the two numbers kept of each record


class Key(NamedTuple):
    """What makes two questions the same: who was asked, from where, and what."""

    partition: tuple[tuple[protocol.Upstream, ...], str]
    name: bytes
    kind: int
    klass: int
    flags: int  # RD and CD of the question, and DO


class Entry(NamedTuple):
    """A reply, when it came, and until when it is good; seconds of `resolver.clock`.

    `recheck` is until when it is given as stale without another try to renew it. `holder` is the
    sandbox for which it was fetched.
    """

    reply: reply.Reply
    stored: float
    expires: float
    recheck: float = 0.0
    holder: str = NOBODY

    def age_s(self, now: float) -> int:
        """Whole seconds since it came."""
        return int(now - self.stored)


class Cache:
    """What is over goes first, then of whoever holds most the least recently used.

    Whoever asks for many names in turn would else lose each of them just before it is asked for
    again, while what others never ask for again stays its hour. Of failures there are few, gone
    when they are over.
    """

    def __init__(self, *, entries: int = ENTRIES, size: int = BYTES) -> None:
        self._most_entries = entries
        self._most_bytes = size
        self._entries: OrderedDict[Key, Entry] = OrderedDict()  # as they came
        self._ends: Ends[Key] = Ends()
        self._good: Holdings[Key] = Holdings()  # whose end was not told yet
        self._over: Holdings[Key] = Holdings()
        self._failures: OrderedDict[Key, float] = OrderedDict()  # when over: all last as long
        self.bytes = 0
        self.evicted = dict.fromkeys(KINDS, 0)
        self.kinds = dict.fromkeys(KINDS, 0)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now: float) -> Entry | None:
        """The entry that is still good at `now`."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now >= entry.expires:
            if not _may_be_stale(entry, now):
                self._drop(key)
            return None
        self._good.use(entry.holder, key)
        return entry

    def stale(self, key: Key, now: float) -> Entry | None:
        """An answer that is over, but not for longer than an hour: better than none."""
        entry = self._entries.get(key)
        if entry is None or _may_be_stale(entry, now):
            return entry
        if now >= entry.expires:
            self._drop(key)
        return None

    def postpone(self, key: Key, recheck: float) -> None:
        """What is stale is not tried to be renewed before `recheck`."""
        if entry := self._entries.get(key):
            self._entries[key] = entry._replace(recheck=recheck)

    def put(self, key: Key, found: reply.Reply, now: float, holder: str = NOBODY) -> None:
        """Keep `found`, fetched for `holder`, as long as it allows; big ones are not kept.

        What was known before is over in any case, unless `found` says nothing of the name, or only
        a part of what the records before it said as a whole.
        """
        lifetime = lifetime_s(found)
        self.tidy(now)
        if found.rcode in _ANSWERS and not (_is_part(found) and self._has_records(key)):
            self._drop(key)
        if lifetime <= 0 or len(found.image) > MOST_ENTRY:
            return
        self._drop(key)
        entry = self._entries[key] = Entry(found, now, now + lifetime, holder=holder)
        self.kinds[kind_of(found)] += 1
        size = _cost(key, found)
        self.bytes += size
        self._good.take(holder, key, size)
        self._ends.put(key, entry.expires)
        if found.rcode == wire.Rcode.SERVFAIL:
            self._failures[key] = now + lifetime
            if len(self._failures) > FAILURES:
                self._evict(next(iter(self._failures)))
        self._make_room(now)

    def tidy(self, now: float) -> None:
        """Forget the failures that are over: they take the place of what may still be given."""
        while self._failures:
            key, expires = next(iter(self._failures.items()))
            if now < expires:
                return
            self._drop(key)

    def flush(self, name: bytes = ROOT) -> int:
        """Forget everything at or below the wire name `name`; how many entries that were."""
        gone = [key for key in self._entries if key.name.endswith(name) and _below(key.name, name)]
        for key in gone:
            self._drop(key)
        return len(gone)

    def forget(self, sandboxes: AbstractSet[str]) -> None:
        """Nobody is asked from inside of these any more, or of those that were there.

        What they shared with others stays, and is nobody's.
        """
        for key in [each for each in self._entries if each.partition[1] in sandboxes]:
            self._drop(key)
        left = (held.leave(each) for held in (self._good, self._over) for each in sandboxes)
        for key in chain.from_iterable(left):
            self._entries[key] = self._entries[key]._replace(holder=NOBODY)

    def entries(self, now: float) -> Iterator[tuple[Key, Entry]]:
        """All entries that may be given still, the oldest first."""
        return (
            (key, entry)
            for key, entry in self._entries.items()
            if now < entry.expires or _may_be_stale(entry, now)
        )

    def _has_records(self, key: Key) -> bool:
        entry = self._entries.get(key)
        return entry is not None and kind_of(entry.reply) == "success"

    def _make_room(self, now: float) -> None:
        """Down to the bounds.

        Whatever came two hours ago may be given to nobody any more. It goes first: those who hold
        little would keep it for good.
        """
        for key in self._ends.over(now):
            holder = self._entries[key].holder
            self._over.take(holder, key, self._good.drop(holder, key))
        while len(self._entries) > self._most_entries or self.bytes > self._most_bytes:
            oldest, entry = next(iter(self._entries.items()))
            if now >= entry.expires and not _may_be_stale(entry, now):
                self._drop(oldest)
            else:
                self._evict(self._next())

    def _next(self) -> Key:
        """What is given up next."""
        spared = OVER * self.bytes / (len(self._over) or 1)
        return (self._over if self._over.most() > spared or not self._good else self._good).first()

    def _evict(self, key: Key) -> None:
        self.evicted[kind_of(self._entries[key].reply)] += 1
        self._drop(key)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        self._failures.pop(key, None)
        if entry is not None:
            held = self._good if self._ends.drop(key, entry.expires) else self._over
            self.bytes -= held.drop(entry.holder, key)
            self.kinds[kind_of(entry.reply)] -= 1


def _is_part(found: reply.Reply) -> bool:
    return found.is_cut and found.rcode == wire.Rcode.NOERROR


def _may_be_stale(entry: Entry, now: float) -> bool:
    """Whether it may be given when it is over; a failure never (RFC 8767 §5)."""
    return entry.reply.rcode != wire.Rcode.SERVFAIL and now < entry.expires + STALE_S


def _below(name: bytes, top: bytes) -> bool:
    """Whether `name`, which ends in the bytes of `top`, has them as labels."""
    at = 0
    while len(name) - at > len(top):
        at += name[at] + 1
    return len(name) - at == len(top)


def lifetime_s(found: reply.Reply) -> int:
    """Seconds for which a reply may be kept (RFC 2308 §5, RFC 9520, 2181 §9)."""
    if found.is_cut:
        return 0
    if found.denies:
        # Of the name that was asked: the aliases that lead to what is denied may lead elsewhere.
        aliases_s = NEGATIVE_LIMIT_S if found.lowest is None else found.lowest
        return min(found.negative or 0, aliases_s, NEGATIVE_LIMIT_S)
    if found.rcode == wire.Rcode.NOERROR:
        return min(found.lowest or 0, POSITIVE_LIMIT_S)
    return FAILURE_S if found.rcode == wire.Rcode.SERVFAIL else 0


def kind_of(found: reply.Reply) -> str:
    """As `kind`."""
    return kind(found.rcode, denies=found.denies)


def kind(rcode: int, *, denies: bool) -> str:
    """What kind of an answer it is: some records, "no", or that nobody knows."""
    if rcode == wire.Rcode.NOERROR and not denies:
        return "success"
    return "failure" if rcode == wire.Rcode.SERVFAIL else "denial"


def _cost(key: Key, found: reply.Reply) -> int:
    return _OVERHEAD + len(key.name) + len(found.image) + _RECORD_OVERHEAD * len(found.ends)

"""Replies that were given before and can be given again as they are, but for the id.

Stubs repeat themselves byte for byte, so most queries are answered by one look-up of all that
follows the id. In: messages and replies. Out: dictionaries for the drain loop. The number is
bounded over all sandboxes, so that a hostile one fills no memory; what is dropped is made anew.
Replies whose TTLs run are fleeting: they are given for a second, and then, where it is known how
they age, with lower TTLs for another one, as long as they are asked for and good. Of what was not
asked for in its second the next question brings it back, a tenth of the work of making it anew.
Whoever gives one looks at when its second is over, so seconds are ended behind the answers: a
thousand that end at once are in nobody's way.
"""

import math
import struct
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from resolver import counters
from resolver.listen import datagrams, respond
from resolver.message import reply

MOST: Final = 16_384  # replies of all sandboxes together: 6 MiB, 29 if all of them are long
MOST_ASLEEP: Final = 4096  # beside them: 2 MiB, 7 if all of them are long
FLEETING_S: Final = 1.0  # TTLs count in seconds, so for a second a reply may stay as it is
MOST_ENDS: Final = 4  # a look: whoever asks next does not wait for a thousand of them
PATIENCE: Final = 8  # seconds without a question in which a reply is renewed all the same
MOST_GONE: Final = 4096  # that are not counted yet: 1 MiB, and some 10 ms to count
MOST_QUERY: Final = 300  # bytes; a longer one carries options that will hardly come again

_TTL: Final = struct.Struct(">I")


class Aging(NamedTuple):
    """How a reply gets older: it came at `stored`, is good until `expires` (monotonic seconds).

    `ttls` says where in the tail its TTLs lie, `spin` where its addresses do, if several. It is
    renewed at the end of so many seconds, one after the other, in which nobody asked for it.
    """

    ttls: tuple[int, ...]
    stored: float
    expires: float
    spin: reply.Spin | None = None
    patience: int = 0


@dataclass(slots=True, eq=False)
class Memo:
    """A reply without its id, what to count for it, and how often it was given since then.

    Its TTLs are those of `age_s` after it came; `last` is how often it was given when it was
    looked at last, since when it was for nothing `idle` times. It may be given as it is until
    `until` (monotonic seconds).
    """

    tail: bytes
    network: str
    kind: str
    rcode: str
    source: counters.Source
    seconds: float = 0.0  # that it took to make it: to give it again takes less
    cached: str = ""  # the kind of a cached answer
    given: int = 0
    aging: Aging | None = None
    age_s: int = 0
    last: int = 0
    idle: int = 0
    until: float = math.inf

    def lives_on(self, now: float) -> bool:
        """Whether it was wanted not long ago and is still good; then it is as of `now`.

        Not when the look comes late, on a quiet host: nobody wanted it since its second was over.
        """
        if now - self.until >= FLEETING_S or self.aging is None or now >= self.aging.expires:
            return False
        self.idle = self.idle + 1 if self.given == self.last else 0
        if self.idle > self.aging.patience:
            return False
        self.last = self.given
        self.renew(now)
        return True

    def is_good(self, now: float) -> bool:
        """Whether `renew` knows how it is now."""
        return self.aging is not None and now < self.aging.expires

    def renew(self, now: float) -> None:
        """Its TTLs are those of `now`, and another address comes first, if it is good still."""
        if self.aging is None:
            return
        self.until = now + FLEETING_S
        age_s = int(now - self.aging.stored)
        if (more := age_s - self.age_s) > 0:
            self.age_s = age_s
            tail = bytearray(self.tail)
            for at in self.aging.ttls:
                left = max(0, _TTL.unpack_from(tail, at)[0] - more)
                _TTL.pack_into(tail, at, left)
            self.tail = bytes(tail)
        if self.aging.spin:
            self.tail = self.aging.spin.turned(self.tail, 1)


Table = dict[bytes, Memo]


class Pool:
    """One table a sandbox, bounded together."""

    def __init__(
        self, counts: counters.Counters, most: int = MOST, most_asleep: int = MOST_ASLEEP
    ) -> None:
        self._counts = counts
        self._most = most
        self._most_asleep = most_asleep
        self._held = 0
        self._tables: dict[int, Table] = {}
        self._asleep: dict[int, Table] = {}  # by table: what nobody asked for in its second
        self._sleepers: OrderedDict[int, tuple[int, bytes]] = (
            OrderedDict()
        )  # the same, the oldest first
        self._fleeting: deque[tuple[float, Table, bytes, Memo]] = deque()  # by their ends
        self._gone: list[Memo] = []  # which are still to be counted
        counts.fold(self._settled)

    def table(self) -> Table:
        """A new empty table; it is read by others, and changed only here."""
        made: Table = {}
        self._tables[id(made)] = made
        self._asleep[id(made)] = {}
        return made

    def put(self, table: Table, message: bytes, memo: Memo) -> None:
        """Answer whatever equals `message` but for its id by `memo`, until `forget`."""
        if len(message) > MOST_QUERY:
            return
        if self._held >= self._most:
            # Whoever has most makes room: a hostile sandbox empties its own table, nobody else's.
            self.forget(max(self._tables.values(), key=len))
        key = message[datagrams.ID :]
        self._held += key not in table
        table[key] = memo

    def put_fleeting(self, table: Table, message: bytes, memo: Memo, now: float) -> None:
        """The same for a second; `now` in seconds, monotonic."""
        if len(self._fleeting) >= self._most:
            self._end(float("inf"))
        memo.until = now + FLEETING_S
        self.put(table, message, memo)
        self._fleeting.append((memo.until, table, message[datagrams.ID :], memo))

    def wake(self, table: Table, message: bytes, now: float) -> bytes | None:
        """The reply to `message` as of `now` where its memo's second is over; it has another then.

        Whether it sleeps already, or no look has ended it yet.
        """
        asleep = self._asleep[id(table)]
        key = message[datagrams.ID :]
        if memo := table.get(key):
            if not memo.is_good(now):
                self._remove(table, key, memo)
                return None
            memo.renew(now)
            memo.given += 1
            return message[: datagrams.ID] + memo.tail
        memo = asleep.pop(key, None)
        if memo is None:
            return None
        del self._sleepers[id(memo)]
        if not memo.is_good(now):
            self._count_later(memo)
            return None
        memo.renew(now)
        memo.given += 1
        self.put_fleeting(table, message, memo, now)
        return message[: datagrams.ID] + memo.tail

    def sweep(self, now: float) -> None:
        """Look after a few of those whose second is over; cheap when there is nothing to do."""
        for _ in range(MOST_ENDS):
            if not self._fleeting or now < self._fleeting[0][0]:
                return
            self._end(now)

    def _end(self, now: float) -> None:
        """The oldest fleeting one goes or sleeps, if it is still there and does not live on."""
        _, table, key, memo = self._fleeting.popleft()
        if table.get(key) is not memo:
            return
        if memo.until > now or memo.lives_on(now):  # the former: it was renewed meanwhile
            self._fleeting.append((memo.until, table, key, memo))
        elif memo.is_good(now):
            del table[key]
            self._held -= 1
            self._sleep(table, key, memo)
        else:
            self._remove(table, key, memo)

    def _remove(self, table: Table, key: bytes, memo: Memo) -> None:
        del table[key]
        self._held -= 1
        self._count_later(memo)

    def _sleep(self, table: Table, key: bytes, memo: Memo) -> None:
        self._asleep[id(table)][key] = memo
        self._sleepers[id(memo)] = id(table), key
        if len(self._sleepers) > self._most_asleep:
            _, (where, oldest) = self._sleepers.popitem(last=False)
            self._count_later(self._asleep[where].pop(oldest))

    def _count_later(self, memo: Memo) -> None:
        """It is in no table any more; counted when there are many, or when somebody asks."""
        self._gone.append(memo)
        if len(self._gone) > MOST_GONE:
            self._count_gone()

    def forget(self, table: Table) -> None:
        """Empty `table`: what its sandbox sees has changed."""
        asleep = self._asleep[id(table)]
        if not table and not asleep:
            return
        for memo in asleep.values():
            del self._sleepers[id(memo)]
        self._held -= len(table)
        for each in (table, asleep):
            self._settle(each)
            each.clear()

    def drop(self, table: Table) -> None:
        """The sandbox is gone."""
        self.forget(table)
        self._tables.pop(id(table), None)
        self._asleep.pop(id(table), None)

    def _settled(self) -> tuple[()]:
        """Brings the counters up to date before they are read; has none of its own."""
        self._count_gone()
        for table in (*self._tables.values(), *self._asleep.values()):
            self._settle(table)
        return ()

    def _count_gone(self) -> None:
        for memo in self._gone:
            self._count(memo)
        self._gone.clear()

    def _settle(self, table: Table) -> None:
        for memo in table.values():
            self._count(memo)

    def _count(self, memo: Memo) -> None:
        given, memo.given = memo.given, 0
        memo.last = 0 if memo.last == given else -1
        if given:
            self._counts.request(memo.network, respond.UDP, memo.kind, given)
            self._counts.response(memo.network, memo.rcode, memo.source, given)
            self._counts.observe(counters.SECONDS, memo.source, memo.seconds, amount=given)
            if memo.cached:
                self._counts.hit(memo.cached, given)
            size = datagrams.ID + len(memo.tail)
            self._counts.observe(counters.SIZES, respond.UDP, size, amount=given)

"""What to ask an upstream, whether its reply can be believed, and whom to ask next. Pure.

In: the client's message, replies, and the clock and random numbers as values. Out: messages and
decisions. Sources: RFC 5452 (matching), draft-vixie-dnsext-dns0x20, RFC 2308, RFC 9520;
dns_and_users.md A3 for the numbers.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from resolver import wire

TRY_S: Final = 1.5
TOTAL_S: Final = 4.5
TRIES: Final = 3
DOWN_AFTER: Final = 3  # time-outs in a row
DOWN_FIRST_S: Final = 2.0
DOWN_LIMIT_S: Final = 30.0
MOST_RECORDS: Final = 4096

_FLAGS = struct.Struct(">H")
_QR, _OPCODE, _TC, _RD, _RA, _AD = 0x8000, 0x7800, 0x0200, 0x0100, 0x0080, 0x0020
_KEPT = _RD | 0x0010 | _AD  # RD, CD and AD go on as asked (RFC 6840 §5.7)
_COUNTS = struct.Struct(">HHHH")
_RECORD = struct.Struct(">HHIH")


class Sent(NamedTuple):
    """A question on its way: the bytes, and where its question section ends."""

    message: bytes
    end: int


class Trust(Enum):
    """What a datagram from the upstream's address is."""

    GOOD = auto()
    TRUNCATED = auto()  # ours, but the rest must be fetched over TCP
    FOREIGN = auto()  # another id or question: spoofed or late; the right one may still come
    BROKEN = auto()  # ours, but its structure is wrong: ask somebody else


# Answers that another server may know better (docker.md F7; dns_and_users.md A3).
ELSEWHERE: Final = frozenset(
    {wire.Rcode.SERVFAIL, wire.Rcode.REFUSED, wire.Rcode.NOTIMP, wire.Rcode.FORMERR}
)


def question(data: bytes, query: wire.Query, identity: int, case: int) -> Sent:
    """The client's question under a new id, its letters' case mixed by the bits of `case`.

    Everything after the question (OPT and its options) is left out but for size and DO: what a
    client says to its server hop by hop is not for others (RFC 6891 §6.2.1).
    """
    flags = _FLAGS.unpack_from(data, 2)[0] & _KEPT
    name = mixed(query.name, case)
    tail = b""
    if query.edns:
        extended = 0x8000 if query.dnssec else 0
        tail = b"\0" + _RECORD.pack(wire.OPT, wire.EDNS_LIMIT, extended, 0)
    counts = _COUNTS.pack(1, 0, 0, 1 if tail else 0)
    asked = name + struct.pack(">HH", query.kind, query.klass)
    message = struct.pack(">HH", identity, flags) + counts + asked + tail
    return Sent(message, wire.HEADER + len(asked))


def mixed(name: bytes, case: int) -> bytes:
    """The wire name with the letters turned to capitals whose bit in `case` is set (0x20)."""
    letters = bytearray(name)
    for at, byte in enumerate(letters):
        # A length octet is at most 63, below every letter: only letters are in this range.
        if 0x61 <= byte <= 0x7A:  # noqa: PLR2004 - a … z
            if case & 1:
                letters[at] = byte - 0x20
            case >>= 1
    return bytes(letters)


def judge(reply: bytes, sent: Sent) -> Trust:
    """Whether `reply` answers `sent`: id, opcode and the question byte for byte (RFC 5452 §9.1)."""
    if len(reply) < sent.end or reply[:2] != sent.message[:2]:
        return Trust.FOREIGN
    flags = _FLAGS.unpack_from(reply, 2)[0]
    if not flags & _QR or flags & _OPCODE:
        return Trust.FOREIGN
    if (
        reply[4:6] != b"\0\1"
        or reply[wire.HEADER : sent.end] != sent.message[wire.HEADER : sent.end]
    ):
        return Trust.FOREIGN
    if flags & _TC:
        return Trust.TRUNCATED
    return Trust.BROKEN if layout(reply, sent.end) is None else Trust.GOOD


class Layout(NamedTuple):
    """Where the TTLs of a message lie; `lowest` of the answers, `negative` by RFC 2308 §5."""

    ttls: tuple[int, ...]
    lowest: int | None
    negative: int | None


def layout(reply: bytes, at: int) -> Layout | None:
    """The records of a reply whose question ends at `at`; None when any reaches beyond the end."""
    counts = struct.unpack_from(">HHH", reply, 6)
    if sum(counts) > MOST_RECORDS:
        return None
    places: list[int] = []
    lowest: int | None = None
    negative: int | None = None
    for section, count in enumerate(counts):
        for _ in range(count):
            at = wire.skip_name(reply, at)
            if not at or at + _RECORD.size > len(reply):
                return None
            kind, _, ttl, length = _RECORD.unpack_from(reply, at)
            body = at + _RECORD.size
            if body + length > len(reply):
                return None
            if kind != wire.OPT:
                places.append(at + 4)
                ttl = sane(ttl)
                if section == 0:
                    lowest = ttl if lowest is None else min(lowest, ttl)
                elif section == 1 and kind == wire.SOA and length >= 22:  # noqa: PLR2004 - RFC 1035 §3.3.13
                    minimum = int.from_bytes(reply[body + length - 4 : body + length], "big")
                    negative = min(ttl, sane(minimum))
            at = body + length
    return Layout(tuple(places), lowest, negative)


def sane(ttl: int) -> int:
    """A TTL with the top bit set means 0 (RFC 2181 §8)."""
    return 0 if ttl & 0x80000000 else ttl


def for_client(reply: bytes, data: bytes, query: wire.Query, *, stream: bool) -> bytes:
    """The upstream's reply as the client's: its id, its question's case, and within its limit."""
    restored = (
        data[:2] + reply[2 : wire.HEADER] + data[wire.HEADER : query.end] + reply[query.end :]
    )
    flags = _FLAGS.unpack_from(reply, 2)[0] & ~0x0400 & ~_TC | _RA  # never AA: it is not ours
    limit = wire.STREAM_LIMIT if stream else query.limit
    if len(restored) <= limit:
        return restored[:2] + _FLAGS.pack(flags) + restored[4:]
    header = restored[:2] + _FLAGS.pack(flags | _TC) + b"\0\1" + bytes(6)
    return header + data[wire.HEADER : query.end]


@dataclass(slots=True)
class Health:
    """What an upstream showed of itself; time is passed in, in seconds of a monotonic clock."""

    silent: int = 0
    down_until: float = 0.0
    pause_s: float = field(default=DOWN_FIRST_S)

    def answered(self) -> None:
        """It works."""
        self.silent, self.down_until, self.pause_s = 0, 0.0, DOWN_FIRST_S

    def timed_out(self, now: float) -> None:
        """No answer in time: after three in a row it is left alone for 2 s, doubling to 30 s."""
        self.silent += 1
        if self.silent >= DOWN_AFTER:
            self.down_until = now + self.pause_s
            self.pause_s = min(DOWN_LIMIT_S, self.pause_s * 2)

    def up(self, now: float) -> bool:
        """Whether it may be asked first."""
        return now >= self.down_until


def order(healths: Sequence[Health], now: float) -> Sequence[int]:
    """Which upstreams to try, by index: healthy ones as listed, then the others, at most three.

    One that is down is still asked when nobody else answers: better late than wrong.
    """
    up = [at for at, each in enumerate(healths) if each.up(now)]
    down = [at for at, each in enumerate(healths) if not each.up(now)]
    chosen = up + down
    while chosen and len(chosen) < TRIES:
        chosen = chosen + chosen  # a lone server gets a second and a third chance
    return chosen[:TRIES]


def best(replies: Iterable[bytes]) -> bytes | None:
    """The least bad of the replies that asked for another try: the first SERVFAIL, else any."""
    known = tuple(replies)
    fails = (each for each in known if each[3] & 0xF == wire.Rcode.SERVFAIL)
    return next(fails, known[0] if known else None)

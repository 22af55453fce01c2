"""What an upstream said, checked record by record and cut to what a stub needs.

In: bytes from outside. Out: a `Reply` whose every name and length lies inside it, or None; and from
a `Reply`, the bytes for one client. Kept are the answers, as far as they are about what was asked
(`chain`), and for "no such thing" (or DNSSEC) the authority: what else a server adds is only good
for poisoning (dns_and_users.md A3, A4). Formats: RFC 1035 §4.1, 2308 §5, 6891.
"""

import bisect
import itertools
import struct
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from resolver.message import chain, record, spelled, wire
from resolver.message.wire import Rcode

MOST_TTL_S: Final = 3600  # nobody behind us should believe anything for longer
MOST_EXPLAINED: Final = 2  # extended errors of one message
MOST_RECORDS: Final = 1024  # one message of 64 KiB could claim 6000; nobody means that
_COUNTS = struct.Struct(">HHH")
_EXTENDED = 6  # and so many bytes before an OPT's data the rest of the response code
_FLAGS = struct.Struct(">H")
MOST_USUAL: Final = 64  # answers of a reply that is looked at in one go
_SHORTEST: Final = 2 + record.FIXED.size  # bytes of a record without data, owner a pointer
_ASKED: Final = 4  # bytes of a question behind its name
_CLASS: Final = wire.IN.to_bytes(2, "big")
_TTL: Final = 6  # where in such a record its TTL lies
_OPT_HEAD: Final = b"\0" + wire.OPT.to_bytes(2, "big")
_BARE_OPT: Final = 1 + record.FIXED.size  # bytes of an OPT without options
_EXTENDED_AT: Final = 5  # where in an OPT the upper bits of the response code are
_SOA_TAIL = 22  # two root names and five numbers: the shortest SOA data


class Spin(NamedTuple):
    """Records of one set and one length after each other: where the first begins, how many."""

    begin: int
    size: int
    number: int

    def turned(self, image: bytes | bytearray, by: int) -> bytes:
        """`image` with the records `by` places further on."""
        end = self.begin + self.size * self.number
        middle = self.begin + self.size * (by % self.number)
        head, tail = image[: self.begin], image[end:]
        return bytes(head + image[middle:end] + image[self.begin : middle] + tail)


class Reply(NamedTuple):
    """A checked reply: header, the question, whole records, no OPT.

    `end` is where the question ends, `ends` where each record does, `ttls` where their TTLs lie.
    `lowest` is the lowest TTL of the answers, `negative` how long "no" may be kept, in seconds: no
    record of the authority has a longer TTL then.
    `extended` are the upper eight bits of the response code, which were in the OPT. `is_cut` says
    that the server had more, which could not be fetched. `was_said` tells a failure that is the
    name's from one for want of servers. `explain` are the extended errors that came along (RFC
    8914), `spin` the addresses whose order means nothing, `aliases` the CNAMEs of the answers as
    they lead on. `has_opt` tells whether the server speaks EDNS, `dropped` how many answers were
    about something else. `denies` says that there is no such name, or nothing of the type, be it
    at the end of aliases.
    """

    image: bytes
    end: int
    ends: tuple[int, ...]
    ttls: tuple[int, ...]
    answers: int
    lowest: int | None
    negative: int | None
    extended: int = 0
    is_cut: bool = False
    was_said: bool = True
    explain: tuple[wire.Explain, ...] = ()
    spin: Spin | None = None
    aliases: tuple[chain.Alias, ...] = ()
    has_opt: bool = False
    dropped: int = 0
    denies: bool = False

    @property
    def rcode(self) -> int:
        """The whole response code (RFC 6891 §6.1.3): BADVERS is 16, not NOERROR."""
        return self.extended << 4 | self.image[3] & 0xF

    @property
    def is_lame(self) -> bool:
        """Neither an answer nor a "no" of one who can tell: AA and RA are both missing."""
        can_tell = self.image[2] & 0x04 or self.image[3] & 0x80
        return self.rcode == Rcode.NOERROR and not self.answers and not can_tell


def read(data: bytes, end: int, *, dnssec: bool, is_checked: bool = False) -> Reply | None:
    """The reply in `data`, whose question ends at `end`.

    None when any part is not whole, when no answer is about what was asked, or when it lies behind
    too many aliases; `is_checked` says that the latter was looked at before. SERVFAIL that says so
    stands for one of too many records: who was asked would say the same again.
    """
    counts = _COUNTS.unpack_from(data, 6)
    if 0 < counts[0] <= MOST_USUAL and (usual := _addresses(data, end, counts)):
        return usual
    if sum(counts) > MOST_RECORDS:
        return _overlong(data, end, sum(counts))
    return _record_by_record(data, end, counts, dnssec=dnssec, is_checked=is_checked)


def _addresses(data: bytes, end: int, counts: tuple[int, int, int]) -> Reply | None:
    """What `_record_by_record` makes of addresses of the very name that was asked, if that is all.

    Most replies are just that, and take a third of the time so. None for any other.
    """
    count, authority, additional = counts
    kind = data[end + 2 : end + 4]
    length = record.LENGTHS.get(int.from_bytes(kind, "big"))
    if length is None or authority or wire.name_end(data, wire.HEADER) != end - _ASKED:
        return None
    size = _SHORTEST + length
    stop = end + count * size
    opt = data[stop:]
    has_rest = additional > 1 or not _is_bare_opt(opt) if additional else bool(opt)
    if has_rest or stop > len(data):
        return None
    shape, measure = wire.POINTER + kind + _CLASS, length.to_bytes(2, "big")
    starts, ttls = range(end, stop, size), range(end + _TTL, stop, size)
    for at in starts:
        if data[at : at + _TTL] != shape or data[at + 10 : at + _SHORTEST] != measure:
            return None
    said = {data[at : at + 4] for at in ttls}
    lowest = min(record.sane(int.from_bytes(each, "big")) for each in said)
    kept = min(lowest, MOST_TTL_S).to_bytes(4, "big")
    records = data[end:stop]
    if said != {kept}:
        records = b"".join(shape + kept + data[at + 10 : at + size] for at in starts)
    return Reply(
        image=b"".join((data[:6], _COUNTS.pack(count, 0, 0), data[12:end], records)),
        end=end,
        ends=tuple(range(end + size, stop + 1, size)),
        ttls=tuple(ttls),
        answers=count,
        lowest=lowest,
        negative=None,
        extended=opt[_EXTENDED_AT] if opt else 0,
        spin=Spin(end, size, count) if count > 1 else None,
        has_opt=bool(opt),
        denies=_denies(data, end, {int.from_bytes(kind, "big")}, opt),
    )


def _is_bare_opt(opt: bytes) -> bool:
    """Whether that is an OPT record without options, and no more."""
    return len(opt) == _BARE_OPT and opt.startswith(_OPT_HEAD) and opt.endswith(b"\0\0")


def _record_by_record(
    data: bytes, end: int, counts: tuple[int, int, int], *, dnssec: bool, is_checked: bool
) -> Reply | None:
    """As `read`, of any message."""
    at = end
    ends: list[int] = []
    ttls: list[int] = []
    negative: int | None = None
    extended = 0
    explain: tuple[wire.Explain, ...] = ()
    known: record.Known = {}
    shortest: dict[int, int] = {}
    heads: list[chain.Head] = []
    opt = b""
    for number in range(sum(counts)):
        found, begin = record.read(data, at, ttls, known), at
        if found is None:
            return None
        body, at, kind, ttl = found
        if number < counts[0]:
            shortest[kind] = min(ttl, shortest.get(kind, ttl))
            heads.append(chain.Head(begin, kind, body))
        elif number < counts[0] + counts[1] and kind == wire.SOA and at - body >= _SOA_TAIL:
            negative = min(ttl, record.sane(int.from_bytes(data[at - 4 : at], "big")))
        elif number >= counts[0] + counts[1] and kind == wire.OPT:
            extended, opt = data[body - _EXTENDED], data[begin:at]
            explain = tuple(itertools.islice(wire.explanations(data, body, at), MOST_EXPLAINED))
        ends.append(at)
    linked = chain.whole(heads) if is_checked else chain.of(data, heads)
    if linked is None or len(linked.kept) < len(heads):
        rest = linked and _without(data, (end, *ends), counts, linked.kept, opt)
        made = read(rest, end, dnssec=dnssec) if rest else None
        return made._replace(dropped=len(heads) - made.answers) if made else None
    denies = _denies(data, end, shortest.keys(), opt)
    # Beside aliases, an authority without SOA only says who else could be asked.
    is_no = not counts[0] or (denies and negative is not None)
    kept = counts[0] + (counts[1] if is_no or dnssec else 0)
    ends, ttls = ends[:kept], ttls[:kept]
    image = bytearray(data[: (end, *ends)[-1]])
    image[6:12] = _COUNTS.pack(counts[0], kept - counts[0], 0)
    _cap(image, ttls, [shortest[each.kind] for each in heads], negative)
    return Reply(
        image=bytes(image),
        end=end,
        ends=tuple(ends),
        ttls=tuple(ttls),
        answers=counts[0],
        lowest=min(shortest.values(), default=None),
        negative=negative,
        extended=extended,
        explain=explain,
        spin=_spin(data, (end, *ends[: counts[0]])),
        aliases=linked.aliases,
        has_opt=bool(opt),
        denies=denies,
    )


def _denies(data: bytes, end: int, kinds: Collection[int], opt: bytes) -> bool:
    """Whether a reply with answers of these `kinds` says "no" of what was asked.

    The response code is that of the end of the aliases (RFC 6604 §3), and so is what is missing
    (RFC 2308 §2.2).
    """
    rcode = data[3] & 0xF
    if opt and opt[_EXTENDED_AT]:
        return False
    if rcode != Rcode.NOERROR:
        return rcode == Rcode.NXDOMAIN
    asked = int.from_bytes(data[end - _ASKED : end - _ASKED + 2], "big")
    return asked not in kinds and not (asked == wire.ANY and kinds)


def has_none(said: bytes) -> bool:
    """Whether a reply of ours has nothing of what was asked, be it behind aliases."""
    answers, authority, _ = _COUNTS.unpack_from(said, 6)
    if not answers or not authority:
        return not answers
    # Beside answers there is an SOA, for aliases that lead to nothing, or what DNSSEC brings.
    end = wire.name_end(said, wire.HEADER) + _ASKED
    found = read(said, end, dnssec=True, is_checked=True)
    return found is not None and found.denies


def is_endless(data: bytes, end: int) -> bool:
    """Whether `read` refuses it for too many aliases in a row, and for nothing else."""
    whole = read(data, end, dnssec=False, is_checked=True)
    if whole is None:
        return False
    begins = (end, *whole.ends[: whole.answers])[:-1]
    bodies = (wire.skip_name(data, each) + wire.RECORD_HEAD for each in begins)
    heads = [
        chain.Head(begin, int.from_bytes(data[body - wire.RECORD_HEAD :][:2], "big"), body)
        for begin, body in zip(begins, bodies, strict=True)
    ]
    return chain.of(data, heads) is None


def _cap(
    image: bytearray, ttls: Sequence[int], answers: Sequence[int], negative: int | None
) -> None:
    """Lower the TTLs, which lie at `ttls`, to how long anybody may keep what they are of.

    `answers` are those of the answers: the records of a set have one TTL, the lowest that was seen
    (RFC 2181 §5.2). A denial has one as well, for whoever caches behind us counts from what he gets
    (RFC 2308 §3, §5).
    """
    denied = MOST_TTL_S if negative is None else negative
    for number, at in enumerate(ttls):
        own = record.sane(int.from_bytes(image[at : at + 4], "big"))
        seconds = answers[number] if number < len(answers) else min(own, denied)
        image[at : at + 4] = min(seconds, MOST_TTL_S).to_bytes(4, "big")


def _spin(data: bytes, bounds: tuple[int, ...]) -> Spin | None:
    """The addresses at the end of the answers, whose bounds these are.

    Only such whose owner is a pointer, the same of all: then each means the same in any place.
    """
    count, shape = 0, b""
    for begin, end in zip(bounds[-2::-1], bounds[:0:-1], strict=True):
        head = data[begin : begin + 6]  # owner, type and class
        kind = int.from_bytes(head[2:4], "big")
        length = 2 + record.FIXED.size + record.LENGTHS.get(kind, 0)
        if head[0] < record.POINTER or kind not in record.LENGTHS or end - begin != length:
            break
        if count and head != shape:
            break
        count, shape, first, size = count + 1, head, begin, end - begin
    return Spin(first, size, count) if count > 1 else None


def _without(
    data: bytes, ends: Sequence[int], counts: tuple[int, ...], kept: Sequence[int], opt: bytes
) -> bytes | None:
    """The message with no other answers than `kept`; None when they are none, or it is too long.

    Names are written out, for what they point to may be gone; in small letters, for those of the
    question were mixed by us.
    """
    asked = data[wire.HEADER : ends[0] - 4].lower()
    plain = data[: wire.HEADER] + asked + data[ends[0] - 4 :]
    written = tuple(
        wire.POINTER + each[len(asked) :] if each.startswith(asked) else each
        for each in spelled.records(plain, ends[0], ends[1 : 1 + counts[0] + counts[1]], {})
    )
    records = (*(written[number] for number in kept), *written[counts[0] :])
    whole = (_COUNTS.pack(len(kept), counts[1], bool(opt)), data[wire.HEADER : ends[0]], *records)
    made = data[:6] + b"".join(whole) + opt
    return made if kept and len(made) <= wire.STREAM_LIMIT else None


def failure(data: bytes, query: wire.Query, rcode: int) -> Reply:
    """A reply of our own without records, to be remembered like one of an upstream."""
    image = data[:2] + bytes((0x80, 0x80 | rcode)) + b"\0\1" + bytes(6)
    asked = data[wire.HEADER : query.end]
    denies = rcode in (Rcode.NOERROR, Rcode.NXDOMAIN)
    return Reply(image + asked, query.end, (), (), 0, None, None, was_said=False, denies=denies)


def _overlong(data: bytes, end: int, count: int) -> Reply:
    head = data[:2] + bytes((0x80, 0x80 | wire.Rcode.SERVFAIL)) + b"\0\1" + bytes(6)
    why = f"an answer of {count} records: more than {MOST_RECORDS} are not passed on"
    explain = (wire.Explain(0, why),)
    image = head + data[wire.HEADER : end]
    return Reply(image, end, (), (), 0, None, None, explain=explain, has_opt=True)


def aged(found: Reply, seconds: int) -> Reply:
    """The same when a cache on the way has held it for so long already (RFC 8484 §5.1)."""
    if not seconds:
        return found
    image = bytearray(found.image)
    for at in found.ttls:
        left = max(0, int.from_bytes(image[at : at + 4], "big") - seconds)
        image[at : at + 4] = left.to_bytes(4, "big")
    lowest = None if found.lowest is None else max(0, found.lowest - seconds)
    negative = None if found.negative is None else max(0, found.negative - seconds)
    return found._replace(image=bytes(image), lowest=lowest, negative=negative)


def denied_for(found: Reply, most_s: int) -> Reply:
    """The same, where it says "no" kept for so long at most, by others behind us too."""
    if found.negative is None or found.negative <= most_s:
        return found
    image = bytearray(found.image)
    for at in found.ttls[found.answers :]:
        left = min(most_s, int.from_bytes(image[at : at + 4], "big"))
        image[at : at + 4] = left.to_bytes(4, "big")
    return found._replace(image=bytes(image), negative=most_s)


def of_no_such_type(found: Reply) -> Reply:
    """An NXDOMAIN as NODATA: the name exists."""
    return without_error(found)


def without_error(found: Reply) -> Reply:
    """The same records as NOERROR."""
    image = bytearray(found.image)
    image[3] &= 0xF0
    return found._replace(image=bytes(image), extended=0)


def for_client(
    reply: Reply,
    data: bytes,
    query: wire.Query,
    *,
    stream: bool,
    aged_s: int = 0,
    ttl_s: int | None = None,
    explain: Sequence[wire.Explain] = (),
    turn: int = 0,
) -> bytes:
    """The bytes for the asker of `data`: its id, its question's case, its limit, OPT if it had one.

    TTLs are `aged_s` seconds lower, or all `ttl_s`; addresses are turned by `turn` places. Of too
    many records as many whole ones as fit are kept, and TC is set: for musl before 1.2.4, which has
    no TCP, none would mean "no name". Explanations get the room that the records leave.
    """
    limit = wire.STREAM_LIMIT if stream else query.limit
    kept = bisect.bisect_right(reply.ends, limit - wire.opt_size(query))
    image = reply.spin.turned(reply.image, turn) if reply.spin and turn else reply.image
    whole = bytearray(image[: (reply.end, *reply.ends)[kept]])
    for at in reply.ttls[:kept] if aged_s or ttl_s is not None else ():
        left = max(0, int.from_bytes(whole[at : at + 4], "big") - aged_s)
        whole[at : at + 4] = (left if ttl_s is None else ttl_s).to_bytes(4, "big")
    whole[wire.HEADER : query.end] = data[wire.HEADER : query.end]
    answers = min(kept, reply.answers)
    cut = reply.is_cut or kept < len(reply.ends)
    flags = wire.reply_flags(data, reply.rcode, authoritative=False, truncated=cut)
    opt = wire.opt(query, reply.rcode, explain, limit - len(whole))
    whole[:12] = data[:2] + flags + b"\0\1" + _COUNTS.pack(answers, kept - answers, bool(opt))
    return bytes(whole) + opt

"""Bytes ↔ question and answer: the one parser that sees what containers send.

In: a datagram, or a TCP message without its length. Out: a `Query`, the rcode to refuse it with, or
None for what must be dropped. Only the question and the OPT record are read; every loop ends at
the end of the message. Formats: RFC 1035 §4.1, RFC 6891 §6.1, RFC 9619 (one question).
"""

import codecs
import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

A: Final = 1
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
MX: Final = 15
TXT: Final = 16
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
EDE: Final = 15  # the EDNS option of an extended error
ANY: Final = 255
IN: Final = 1

HEADER: Final = 12
CLASSIC_LIMIT: Final = 512  # RFC 1035 §4.2.1, without EDNS
EDNS_LIMIT: Final = 1232  # DNS flag day 2020: never fragments
STREAM_LIMIT: Final = 65535
MOST_NAME: Final = 255
MOST_LABEL: Final = 63
MOST_OPTIONS: Final = 512  # bytes of EDNS options; longer lists are an attack (CVE-2026-41292)
POINTER: Final = b"\xc0\x0c"  # an owner name: the question's
WILDCARD: Final = b"\1*"  # the first label of RFC 4592 §2.1.1
RECORD_HEAD: Final = 10  # type, class, TTL and length before the data
MOST_PLAIN_RCODE: Final = 15  # what is above needs an OPT record (RFC 6891 §6.1.3)
MOST_ADDITIONAL: Final = 2  # an OPT and a TSIG (docker.md D9)

_MOST_TEXT: Final = 100  # of a server's explanation

_QR, _RD, _RA, _AA, _TC, _CD = 0x8000, 0x0100, 0x0080, 0x0400, 0x0200, 0x0010
_OPCODE = 0x7800
_COUNTS = struct.Struct(">HHHHH")  # flags and the four counts, after the id
_SECTIONS = struct.Struct(">HHHH")
_QUESTION = struct.Struct(">HH")
_EDE = struct.Struct(">HHH")
_RECORD = struct.Struct(">HHIH")
_OPT_ECHO = b"\0" + struct.pack(">HHIH", OPT, EDNS_LIMIT, 0, 0)
_OPT_DO = 0x8000  # in the low half of the TTL field
_OPT_BADVERS = b"\0" + struct.pack(">HHIH", OPT, EDNS_LIMIT, 1 << 24, 0)  # rcode 16, version 0


class Rcode(IntEnum):
    """RFC 1035 §4.1.1, and RFC 6891 §9 for BADVERS."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Query(NamedTuple):
    """A well-formed question. `name` is lower-cased wire format, `end` where the question ends.

    `limit` is the most bytes a UDP reply may have; `edns` tells whether an OPT record came.
    """

    name: bytes
    kind: int
    klass: int
    end: int
    limit: int
    edns: bool
    dnssec: bool


def parse(data: bytes) -> Query | Rcode | None:
    """The question in `data`, the rcode to refuse it with, or None: drop it without a word."""
    if len(data) < HEADER:
        return None
    flags, questions, answers, authorities, additional = _COUNTS.unpack_from(data, 2)
    if flags & (_QR | _OPCODE):
        return None if flags & _QR else Rcode.NOTIMP  # an answer is never answered
    if questions != 1 or answers or authorities or additional > MOST_ADDITIONAL:
        return Rcode.FORMERR
    end = name_end(data, HEADER)
    if not end or end + 4 > len(data):
        return Rcode.FORMERR
    kind, klass = _QUESTION.unpack_from(data, end)
    name = data[HEADER:end].lower()  # bytes.lower folds A-Z only (RFC 4343)
    plain = Query(name, kind, klass, end + 4, CLASSIC_LIMIT, False, False)
    return _with_edns(data, additional, plain) if additional else plain


def name_end(data: bytes, at: int) -> int:
    """Where the name that starts at `at` ends; 0 for a bad one. No pointers: nothing is before."""
    size = len(data)
    begin = at
    while at < size:
        length = data[at]
        if not length:
            return at + 1 if at + 1 - begin <= MOST_NAME else 0
        if length > MOST_LABEL:
            return 0
        at += length + 1
    return 0


def _with_edns(data: bytes, records: int, query: Query) -> Query | Rcode:
    at = query.end
    found: Query | None = None
    for _ in range(records):
        begin, at = at, skip_name(data, at)
        if not at or at + 10 > len(data):
            return Rcode.FORMERR
        kind, size, extended, length = _RECORD.unpack_from(data, at)
        at += 10 + length
        if at > len(data):
            return Rcode.FORMERR
        if kind != OPT:
            continue
        if found or data[begin] or length > MOST_OPTIONS:
            return Rcode.FORMERR  # two OPTs, an owner that is not the root, or a flood
        if extended >> 16 & 0xFF:
            return Rcode.BADVERS
        limit = min(max(size, CLASSIC_LIMIT), EDNS_LIMIT)
        found = query._replace(limit=limit, edns=True, dnssec=bool(extended & _OPT_DO))
    return found or query


def option(data: bytes, query: Query, code: int) -> bytes:
    """The data of the EDNS option `code` of a message that `parse` took; empty without one."""
    at = query.end
    for _ in range(int.from_bytes(data[10:12], "big")):
        at = skip_name(data, at)
        kind, _, _, length = _RECORD.unpack_from(data, at)
        at += 10
        end = at + length
        if kind == OPT:
            while at + 4 <= end:
                found, size = _QUESTION.unpack_from(data, at)
                if found == code and at + 4 + size <= end:
                    return data[at + 4 : at + 4 + size]
                at += 4 + size
        at = end
    return b""


def skip_name(data: bytes, at: int) -> int:
    """Where the possibly compressed name at `at` ends; 0 for a bad one."""
    size = len(data)
    begin = at
    while at < size and at - begin <= MOST_NAME:
        length = data[at]
        if not length:
            return at + 1
        if length >= 0xC0:  # noqa: PLR2004 - a pointer: two bytes, and it ends the name
            return at + 2 if at + 2 <= size else 0
        if length > MOST_LABEL:
            return 0
        at += length + 1
    return 0


def record(kind: int, ttl: int, data: bytes) -> bytes:
    """A resource record without its owner, as tables keep it (RFC 1035 §3.2.1)."""
    return _RECORD.pack(kind, IN, ttl, len(data)) + data


class Explain(NamedTuple):
    """An extended error (RFC 8914): a code of its registry and a short text."""

    code: int
    text: str = ""


def respond(
    data: bytes,
    query: Query,
    rcode: int,
    records: Sequence[bytes] = (),
    *,
    owner: bytes = POINTER,
    path: Sequence[bytes] = (),
    beside: Sequence[bytes] = (),
    stream: bool = False,
    authoritative: bool = True,
    authority: bytes = b"",
    explain: Sequence[Explain] = (),
) -> bytes:
    """The reply to the query in `data`: its id, its RD and CD bits, its question byte for byte.

    `records` are of `owner`; before them come those of `path`, complete with their owners. Over
    UDP as many whole records as fit, and TC when some do not. `authority` is one complete record
    with its owner, `beside` are such records for the additional section: those that do not fit are
    left out, and nobody misses them (RFC 2181 §9). `explain` gets the room that all these leave.
    """
    limit = STREAM_LIMIT if stream else query.limit
    room = limit - query.end - opt_size(query)
    whole = [*path, *[owner + each for each in records]]
    body = b"".join(whole)
    count = len(whole)
    cut = len(body) > room
    if cut:
        count, body = _fitting(whole, room)
    has_authority = bool(authority) and len(body) + len(authority) <= room
    head = reply_flags(data, rcode, authoritative=authoritative, truncated=cut)
    middle = authority if has_authority else b""
    extra = 0
    if beside and not cut:
        extra, more = _fitting(beside, room - len(body) - len(middle))
        middle += more
    tail = opt(query, rcode, explain, limit - query.end - len(body) - len(middle))
    counts = _SECTIONS.pack(1, count, has_authority, extra + query.edns)
    return b"".join((data[:2], head, counts, data[HEADER : query.end], body, middle, tail))


def reply_flags(data: bytes, rcode: int, *, authoritative: bool, truncated: bool) -> bytes:
    """Bytes 2 and 3 of a reply to `data`: RA always, RD and CD as asked, never AD."""
    flags = _QR | _RA | rcode & 0xF | ((data[2] << 8 | data[3]) & (_RD | _CD))
    if authoritative:
        flags |= _AA
    if truncated:
        flags |= _TC
    return flags.to_bytes(2, "big")


def opt_size(query: Query) -> int:
    """The bytes that the OPT record of a reply takes at least."""
    return len(_OPT_ECHO) if query.edns else 0


def opt(query: Query, rcode: int, explain: Sequence[Explain], room: int) -> bytes:
    """The OPT record of a reply to a query that had one (RFC 6891 §6.1.1), else nothing.

    It has at most `room` bytes, which are `opt_size` or more. The explanations are what gives way
    (RFC 8914 §3): first their texts, then they themselves.
    """
    if not query.edns:
        return b""
    if not explain and not query.dnssec and rcode <= MOST_PLAIN_RCODE:
        return _OPT_ECHO
    room -= len(_OPT_ECHO)
    told = explain[: room // _EDE.size]
    room -= len(told) * _EDE.size
    data = b""
    for each in told:
        text = each.text.encode()
        text = text if len(text) <= room else b""
        room -= len(text)
        data += _EDE.pack(EDE, len(text) + 2, each.code) + text
    extended = (rcode >> 4) << 24 | (_OPT_DO if query.dnssec else 0)
    return b"\0" + _RECORD.pack(OPT, EDNS_LIMIT, extended, len(data)) + data


def explanations(data: bytes, at: int, end: int) -> Iterator[Explain]:
    """The extended errors among the options of an OPT record, whose data is `data[at:end]`.

    Their text is a stranger's UTF-8: what is none, or cannot be printed, becomes `?`, more than 100
    bytes are cut.
    """
    while at + 4 <= end:
        code, size = _QUESTION.unpack_from(data, at)
        at += 4
        if code == EDE and _QUESTION.size // 2 <= size <= end - at:
            shown = _words(data[at + 2 : at + size].rstrip(b"\0"))
            yield Explain(int.from_bytes(data[at : at + 2], "big"), shown)
        at += size


def _words(text: bytes) -> str:
    is_whole = len(text) <= _MOST_TEXT
    # Of a character that is cut nothing is shown.
    told, _ = codecs.utf_8_decode(text[:_MOST_TEXT], "replace", is_whole)
    known = told.replace("\ufffd", "?")
    return "".join(char if char.isprintable() else "?" for char in known)


def _fitting(whole: Sequence[bytes], room: int) -> tuple[int, bytes]:
    taken: list[bytes] = []
    used = 0
    for each in whole:
        used += len(each)
        if used > room:
            break
        taken.append(each)
    return len(taken), b"".join(taken)


def refuse(data: bytes, rcode: Rcode) -> bytes:
    """The reply to what `parse` refused; with its question where there is one that can be read.

    OPT only for BADVERS (RFC 6891 §6.1.3): whatever else came may not have been one.
    """
    flags = _QR | _RA | (data[2] << 8 | data[3]) & (_OPCODE | _RD | _CD)
    end = name_end(data, HEADER) if data[4:6] == b"\0\1" else 0
    question = data[HEADER : end + 4] if end and end + 4 <= len(data) else b""
    tail = _OPT_BADVERS if rcode is Rcode.BADVERS else b""
    counts = _COUNTS.pack(flags | rcode & 0xF, bool(question), 0, 0, bool(tail))
    return data[:2] + counts + question + tail


def parents(name: bytes) -> Iterator[bytes]:
    """The names above the wire name `name`, nearest first, without the root."""
    at = name[0] + 1
    while at < len(name) and name[at]:
        yield name[at:]
        at += name[at] + 1


# Names between text and wire, for whoever fills tables.


def to_wire(name: str) -> bytes:
    """The lower-cased wire form of `name`, with or without its last dot.

    Raises ValueError for an empty or too long label or name. Labels are ASCII.
    """
    labels = name.removesuffix(".").lower().encode("ascii").split(b".")
    if any(not 0 < len(label) <= MOST_LABEL for label in labels):
        raise ValueError(f"{name!r} has a label that is empty or longer than {MOST_LABEL}")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(wire) > MOST_NAME:
        raise ValueError(f"{name!r} is longer than {MOST_NAME} bytes on the wire")
    return wire


_ESCAPED: Final = '"().;\\@$'  # RFC 1035 §5.1


def to_text(wire: bytes) -> str:
    r"""A wire name for people, with a last dot, as dnspython and `dns query` write it.

    What has a meaning in zone files is escaped, what is no plain character becomes `\DDD`.
    """
    labels, at = [], 0
    while at < len(wire) and wire[at]:
        label = wire[at + 1 : at + 1 + wire[at]]
        labels.append("".join(map(_shown, label)))
        at += wire[at] + 1
    return ".".join(labels) + "."


def _shown(byte: int) -> str:
    plain = chr(byte)
    if plain in _ESCAPED:
        return f"\\{plain}"
    return plain if "!" <= plain <= "~" else f"\\{byte:03d}"

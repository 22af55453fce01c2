"""An alias of ours that leads out of our names: the question for its end, and the two parts joined.

In: what was asked and the aliases so far; then the reply about the end, as an upstream or the cache
gave it. Out: one reply to what was asked. libc takes aliases alone for "no address" and never asks
on (dns_and_users.md A1), so whoever knows the end must say it (RFC 1034 §4.3.2).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from resolver.message import reply, wire
from resolver.message.wire import Rcode

_KIND = 4  # the type and the class behind a question's name
_POINTER: Final = 0xC0
_FAR: Final = 0x3FFF  # the last place that a pointer reaches


class Onward(NamedTuple):
    """What was asked, the alias records of ours, and the message to be asked elsewhere."""

    query: wire.Query
    data: bytes
    path: tuple[bytes, ...]
    end: wire.Query
    message: bytes


def onward(query: wire.Query, data: bytes, path: tuple[bytes, ...], name: bytes) -> Onward:
    """The question for `name`, to which `path` leads; all else is as in `data`."""
    tail = query.end - _KIND
    message = data[: wire.HEADER] + name + data[tail:]
    end = query._replace(name=name, end=wire.HEADER + len(name) + _KIND)
    return Onward(query, data, path, end, message)


def joined(asked: Onward, said: bytes, *, stream: bool) -> bytes:
    """The reply to what was asked: our aliases, then what was `said` about their end.

    `said` is a whole message of ours to `asked.message`. A failure has no aliases: they would be
    taken for an answer.
    """
    found = reply.read(said, asked.end.end, dnssec=asked.end.dnssec)
    if found is None or found.rcode == Rcode.SERVFAIL:
        return _failed(asked, said)
    records = tuple(_whole(found, asked.end.name, _nearby(asked)))
    zones = (each for each in records[found.answers :] if _kind(each) == wire.SOA)
    return wire.respond(
        asked.data,
        asked.query,
        found.rcode,
        path=(*asked.path, *records[: found.answers]),
        stream=stream,
        authority=next(zones, b""),
    )


def _failed(asked: Onward, said: bytes) -> bytes:
    """The failure as it was said, with its explanation (OPT) and without any record."""
    whole = reply.read(said, asked.end.end, dnssec=True)
    end = asked.end.end if whole is None else (whole.end, *whole.ends)[-1]
    head = said[:6] + bytes(4) + said[10 : wire.HEADER]
    return head + asked.data[wire.HEADER : asked.query.end] + said[end:]


def _nearby(asked: Onward) -> bytes:
    """How a record may name the end of the aliases: by where the last alias does."""
    at = asked.query.end + sum(map(len, asked.path)) - len(asked.end.name)
    return (_POINTER << 8 | at).to_bytes(2, "big") if at <= _FAR else asked.end.name


def _whole(found: reply.Reply, end_name: bytes, nearby: bytes) -> Iterator[bytes]:
    """The records with their names written out: in the joined message they lie elsewhere.

    Owners that are `end_name` become `nearby`.
    """
    known: dict[int, bytes] = {}
    begin = found.end
    for end in found.ends:
        body = wire.skip_name(found.image, begin) + wire.RECORD_HEAD
        head = found.image[body - wire.RECORD_HEAD : body - 2]
        data = _data(found.image, body, end, known)
        owner = _name(found.image, begin, known)
        yield (nearby if owner == end_name else owner) + head + len(data).to_bytes(2, "big") + data
        begin = end


def _data(image: bytes, body: int, end: int, known: dict[int, bytes]) -> bytes:
    kind = int.from_bytes(image[body - wire.RECORD_HEAD :][:2], "big")
    before, count = reply.NAMES.get(kind, (0, 0))
    at = body + before
    parts = [image[body:at]]
    for _ in range(count):
        parts.append(_name(image, at, known))
        at = wire.skip_name(image, at)
    return b"".join((*parts, image[at:end]))


def _name(image: bytes, at: int, known: dict[int, bytes]) -> bytes:
    """The name at `at` without pointers; `reply.read` has seen that it is one.

    What stands behind a pointer is written out once for all names that share it.
    """
    passed: list[tuple[int, bytes]] = []
    while at not in known:
        begin = at
        while image[at] and image[at] < _POINTER:
            at += image[at] + 1
        passed.append((begin, image[begin:at]))
        if not image[at]:
            known[begin] = image[begin : at + 1]
            passed.pop()
            at = begin
        else:
            at = int.from_bytes(image[at : at + 2], "big") & 0x3FFF
    whole = known[at]
    for begin, labels in reversed(passed):
        whole = known[begin] = labels + whole
    return whole


def _kind(record: bytes) -> int:
    """The type of a complete record."""
    at = wire.skip_name(record, 0)
    return int.from_bytes(record[at : at + 2], "big")

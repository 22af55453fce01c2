"""An alias of ours that leads out of our names: the question for its end, and the two parts joined.

In: what was asked and the aliases so far, which may begin at others' names; then the reply about
the end, as an upstream or the cache gave it. Out: one reply to what was asked. libc takes aliases
alone for "no address" and never asks on (dns_and_users.md A1), so whoever knows the end must say it
(RFC 1034 §4.3.2).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from resolver.message import reply, spelled, wire
from resolver.message.wire import Rcode

_KIND = 4  # the type and the class behind a question's name
_POINTER: Final = 0xC0
_FAR: Final = 0x3FFF  # the last place that a pointer reaches


class Onward(NamedTuple):
    """What was asked, the alias records of ours, and the message to be asked elsewhere.

    `explain` is what is to be said of the aliases themselves (RFC 8914).
    """

    query: wire.Query
    data: bytes
    path: tuple[bytes, ...]
    end: wire.Query
    message: bytes
    authoritative: bool = True
    explain: tuple[wire.Explain, ...] = ()


def onward(
    query: wire.Query,
    data: bytes,
    path: tuple[bytes, ...],
    name: bytes,
    *,
    authoritative: bool = True,
    explain: tuple[wire.Explain, ...] = (),
) -> Onward:
    """The question for `name`, to which `path` leads; all else is as in `data`.

    `authoritative` says that the path begins with an alias of ours. What is said of the end has
    its reasons with it, also where the asker speaks no EDNS: what becomes of the whole may hang on
    them.
    """
    tail = query.end - _KIND
    message = data[: wire.HEADER] + name + data[tail:]
    end = query._replace(name=name, end=wire.HEADER + len(name) + _KIND, edns=True)
    return Onward(query, data, path, end, message, authoritative, explain)


def joined(asked: Onward, said: bytes, *, stream: bool) -> bytes:
    """The reply to what was asked: our aliases, then what was `said` about their end.

    `said` is a whole message of ours to `asked.message`. A failure has no aliases: they would be
    taken for an answer.
    """
    found = reply.read(said, asked.end.end, dnssec=asked.end.dnssec, is_checked=True)
    if found is None or found.rcode == Rcode.SERVFAIL:
        return wire.respond(
            asked.data,
            asked.query,
            Rcode.SERVFAIL,
            stream=stream,
            authoritative=False,
            explain=found.explain if found else (),
        )
    records = tuple(_whole(found, asked.end.name, _nearby(asked)))
    zones = (each for each in records[found.answers :] if _kind(each) == wire.SOA)
    return wire.respond(
        asked.data,
        asked.query,
        found.rcode,
        path=(*asked.path, *records[: found.answers]),
        stream=stream,
        authoritative=asked.authoritative,
        authority=next(zones, b""),
        explain=(*asked.explain, *found.explain),
    )


def _nearby(asked: Onward) -> bytes:
    """How a record may name the end of the aliases: by where the last alias does."""
    at = asked.query.end + sum(map(len, asked.path)) - len(asked.end.name)
    return (_POINTER << 8 | at).to_bytes(2, "big") if at <= _FAR else asked.end.name


def _whole(found: reply.Reply, end_name: bytes, nearby: bytes) -> Iterator[bytes]:
    """The records with their names written out: in the joined message they lie elsewhere.

    Owners that are `end_name` become `nearby`.
    """
    for each in spelled.records(found.image, found.end, found.ends, {}):
        yield nearby + each[len(end_name) :] if each.startswith(end_name) else each


def _kind(record: bytes) -> int:
    """The type of a complete record."""
    at = wire.skip_name(record, 0)
    return int.from_bytes(record[at : at + 2], "big")

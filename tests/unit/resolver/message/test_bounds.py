"""No message takes long: what it costs to read one grows with its bytes and records alone."""

import struct
from collections.abc import Callable, Iterator

import pytest

from resolver.message import record, reply, wire
from tests.support import work_of

ASKED = b"\1a\4test\0\0\1\0\1"
END = wire.HEADER + len(ASKED)
OWNER = wire.POINTER
REACH = 0x3FFF  # the last byte that a pointer can lead to
COUNT = reply.MOST_RECORDS
EACH = 80  # calls for a record, each with names of its own


def pointer(at: int) -> bytes:
    return struct.pack(">H", 0xC000 | at)


def made(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + record.FIXED.pack(kind, wire.IN, 60, len(data)) + data


def long_ways() -> Iterator[bytes]:
    """Each owner and each target one label, and then the whole way through 120 others."""
    ways: list[int] = []
    yield (first := made(OWNER, wire.A, bytes(4)))
    at = END + len(first)
    for _ in range(COUNT - 1):
        owner = b"\1x" + (pointer(ways[-1]) if ways else b"\0")
        if len(ways) < 120:
            ways.append(at)
        each = made(owner, wire.CNAME, b"\1y" + pointer(ways[-1]))
        at += len(each)
        yield each


def bare_pointers() -> Iterator[bytes]:
    """A text made of pointers, each to the one before it; owners lead to all of them."""
    start = END + len(made(OWNER, wire.TXT, b""))
    count = (REACH - start) // 2
    steps = (pointer(start + 2 * step) for step in range(count - 1))
    yield made(OWNER, wire.TXT, OWNER + b"".join(steps))
    for number in range(COUNT - 1):
        yield made(pointer(start + 2 * (count - 1 - number)), wire.A, bytes(4))


def two_names() -> Iterator[bytes]:
    """SOA data has two names, each with a way of its own to the same labels."""
    start = END + len(made(OWNER, wire.TXT, b""))
    far = [*range(start, start + 2 * 120, 2)]
    labels = b"".join(b"\1z" for _ in far) + b"\0"
    yield made(OWNER, wire.TXT, labels)
    for number in range(COUNT - 1):
        name = b"\1y" + pointer(far[number % len(far)] if number % len(far) else far[1])
        yield made(OWNER, wire.SOA, name + name + bytes(20))


@pytest.mark.parametrize("records", [long_ways, bare_pointers, two_names])
def test_names_that_share_long_ways_are_followed_once(
    records: Callable[[], Iterator[bytes]],
) -> None:
    body = b"".join(records())
    head = b"\0\1\x81\x80\0\1" + COUNT.to_bytes(2, "big") + bytes(4)
    message = head + ASKED + body
    found = reply.read(message, END, dnssec=True)
    if records is bare_pointers:
        assert found is None, "a name has no more pointers than labels"
    else:
        assert found is not None, "it is whole: every part of it is looked at"
        assert found.answers + found.dropped == COUNT
    assert work_of(lambda: reply.read(message, END, dnssec=True)) < EACH * COUNT + 2 * len(message)


@pytest.mark.parametrize(("extra", "is_whole"), [(0, True), (1, False)])
def test_a_name_has_at_most_so_many_pointers(extra: int, is_whole: bool) -> None:
    """However they are met: by one long way, or piece by piece behind what was seen before."""
    start = END + len(made(OWNER, wire.TXT, b""))
    count = record.MOST_POINTERS - 1 + extra  # and that of the owner
    steps = b"".join(pointer(start + 2 * step) for step in range(count - 1))
    text = made(OWNER, wire.TXT, OWNER + steps)
    last = made(pointer(start + 2 * (count - 1)), wire.A, bytes(4))
    half = made(pointer(start + 2 * (count // 2)), wire.A, bytes(4))
    for records in ((text, last), (text, half, last)):
        head = b"\0\1\x81\x80\0\1" + len(records).to_bytes(2, "big") + bytes(4)
        message = head + ASKED + b"".join(records)
        assert (reply.read(message, END, dnssec=True) is not None) is is_whole


def test_what_was_seen_before_leads_back_from_nowhere_behind_it() -> None:
    """The second name's labels lie within those that the first one was seen to lead to."""
    text_at = END + len(made(OWNER, wire.TXT, b""))
    text = made(OWNER, wire.TXT, b"\2" + pointer(text_at) + b"\0")
    first, second = (made(pointer(text_at + at), wire.A, bytes(4)) for at in (0, 1))
    for records, is_whole in (((text, first), True), ((text, first, second), False)):
        head = b"\0\1\x81\x80\0\1" + len(records).to_bytes(2, "big") + bytes(4)
        message = head + ASKED + b"".join(records)
        assert (reply.read(message, END, dnssec=True) is not None) is is_whole

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
    assert found is not None, "it is whole: every part of it is looked at"
    assert found.answers + found.dropped == COUNT
    assert work_of(lambda: reply.read(message, END, dnssec=True)) < EACH * COUNT + 2 * len(message)

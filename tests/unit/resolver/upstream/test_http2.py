"""The client's side of HTTP/2, frame by frame."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.upstream import http2
from resolver.upstream.http2 import Broken, Connection, Frame
from tests import support

OK = b"\x88"


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def asked() -> Connection:
    connection = Connection()
    assert connection.request("dns.test", "/dns-query", b"question")[0] == 1
    return connection


def test_a_response_may_come_in_any_pieces() -> None:
    whole = frame(Frame.HEADERS, 4, 1, OK) + frame(Frame.DATA, 0, 1, b"ans")
    whole += frame(Frame.DATA, 1, 1, b"wer")
    connection, done = asked(), []
    for at in range(len(whole)):
        done += connection.feed(whole[at : at + 1])[0]
    assert done == [http2.Response(1, 200, 0, b"answer")]


def test_headers_may_be_continued_padded_and_prioritised() -> None:
    connection = asked()
    head = bytes((2,)) + bytes(5) + b"\x88\x0f\x06" + b"\0\0"  # age: 15 + 6
    data = frame(Frame.HEADERS, 0x8 | 0x20, 1, head) + frame(Frame.CONTINUATION, 4, 1, b"\x0260")
    data += frame(Frame.DATA, 0x9, 1, b"\1yes\0")
    assert connection.feed(data)[0] == [http2.Response(1, 200, 60, b"yes")]


@pytest.mark.parametrize(
    ("block", "status", "age_s"),
    [
        (b"\x88", 200, 0),
        (b"\x20\x8d", 404, 0),
        (b"\x08\x03503", 503, 0),  # a literal under the name of the table
        (b"\x48\x82\x10\x01", 200, 0),  # the same, Huffman-coded
        (b"\x88\x0f\x06\x83\x64\x17\xff", 200, 0),  # an age that is no number
        (b"\x88\x0f\x06\x0512345", 200, 12345),
        (b"\x88\x00\x01x\x01y", 200, 0),
    ],
)
def test_only_status_and_age_are_read(block: bytes, status: int, age_s: int) -> None:
    assert http2.read_headers(block) == (status, age_s)


@pytest.mark.parametrize(
    "data",
    [
        frame(Frame.HEADERS, 4, 1, b"\xbe"),  # index 62: a table that we do not keep
        frame(Frame.HEADERS, 4, 1, b"\x08\x7f"),
        frame(Frame.HEADERS, 0, 1, OK) + frame(Frame.DATA, 1, 1, b""),
        frame(Frame.CONTINUATION, 4, 1, OK),
        frame(Frame.PUSH_PROMISE, 4, 1, bytes(4)),
        frame(Frame.DATA, 8, 1, b"\x09a"),
        frame(Frame.SETTINGS, 0, 0, b"12345"),
        frame(Frame.WINDOW_UPDATE, 0, 0, b"1"),
        b"\x00\x40\x01" + bytes(6),
    ],
)
def test_A8_44_what_is_wrong_ends_the_connection(data: bytes) -> None:
    with pytest.raises(Broken):
        asked().feed(data)


def zeros(size: int) -> bytes:
    """An age of so many Huffman-coded octets, each the first bits of a zero."""
    return b"\x0f\x06" + http2._integer(size, 7, 0x80) + bytes(size)


def test_A8_44_a_number_of_any_length_takes_no_time() -> None:
    block = b"\x88" + zeros(16_000)
    assert http2.read_headers(block) == (200, 0)
    assert support.work_of(lambda: http2.read_headers(block)) < 100


@pytest.mark.parametrize(
    ("blocks", "why"),
    [
        ([OK * (http2.MOST_FIELDS + 1)], "too many headers"),
        ([OK] * (http2.MOST_BLOCKS + 1), "again and again"),
    ],
)
def test_A8_44_headers_without_end_end_the_connection(blocks: list[bytes], why: str) -> None:
    connection = asked()
    with pytest.raises(Broken, match=why):
        connection.feed(b"".join(frame(Frame.HEADERS, 4, 1, each) for each in blocks))


def test_interim_answers_are_passed_over() -> None:
    connection = asked()
    interim = b"\x08\x03103"  # early hints
    data = b"".join(frame(Frame.HEADERS, 4, 1, each) for each in (interim, interim, OK))
    assert connection.feed(data + frame(Frame.DATA, 1, 1, b"yes"))[0] == [
        http2.Response(1, 200, 0, b"yes")
    ]


def test_a_body_longer_than_any_message_ends_it() -> None:
    connection = asked()
    for _ in range(4):
        connection.feed(frame(Frame.DATA, 0, 1, bytes(16384)))
    with pytest.raises(Broken):
        connection.feed(frame(Frame.DATA, 0, 1, b"more"))


def test_pings_and_settings_are_answered_and_windows_opened() -> None:
    connection = asked()
    _, out = connection.feed(
        frame(Frame.SETTINGS, 0, 0, struct.pack(">HI", 3, 1)) + frame(Frame.PING, 0, 0, b"12345678")
    )
    assert out == frame(Frame.SETTINGS, 1, 0, b"") + frame(Frame.PING, 1, 0, b"12345678")
    assert not connection.has_room
    _, out = connection.feed(frame(Frame.DATA, 0, 1, b"12345"))
    assert out == frame(Frame.WINDOW_UPDATE, 0, 0, struct.pack(">I", 5))


def test_goaway_takes_back_what_was_not_begun() -> None:
    connection = asked()
    assert connection.request("dns.test", "/", b"two")[0] == 3
    done, _ = connection.feed(frame(Frame.GOAWAY, 0, 0, struct.pack(">II", 1, 0)))
    assert [(each.stream, each.status) for each in done] == [(3, 0)]
    assert not connection.is_open
    done, _ = connection.feed(frame(Frame.HEADERS, 5, 1, OK))
    assert done[0].status == 200


def test_a_full_window_asks_for_another_connection() -> None:
    connection = Connection()
    connection.feed(frame(Frame.SETTINGS, 0, 0, struct.pack(">HI", 4, 10)))
    with pytest.raises(Broken):
        connection.request("dns.test", "/", bytes(11))
    assert not connection.is_open


@given(st.binary(max_size=200))
def test_A8_49_any_bytes_end_in_a_response_or_broken(data: bytes) -> None:
    with contextlib.suppress(Broken):
        asked().feed(data)


@given(st.integers(0, 15), st.integers(0, 255), st.binary(max_size=60))
def test_A8_49_any_frame_ends_in_a_response_or_broken(kind: int, flags: int, body: bytes) -> None:
    with contextlib.suppress(Broken):
        asked().feed(frame(kind, flags, 1, body))

"""The wire format: what is packed is read back, and broken bytes never raise."""

import errno
import os
import socket
import struct

import pytest

from sdd.linux import netlink, netlink_picked


def test_attribute_is_padded_to_four_bytes() -> None:
    assert netlink.text(3, "eth0") == b"\x09\x00\x03\x00eth0\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("packed", "payload"),
    [
        (netlink.u8(1, 7), b"\x07"),
        (netlink.u16(1, 258), struct.pack("=H", 258)),
        (netlink.u32(1, 1 << 20), struct.pack("=I", 1 << 20)),
        (netlink.u64(1, 1 << 40), struct.pack("=Q", 1 << 40)),
        (netlink.be16(1, 53), b"\x00\x35"),
        (netlink.be32(1, 53), b"\x00\x00\x00\x35"),
        (netlink.text(1, "a"), b"a\x00"),
    ],
)
def test_numbers_and_texts_come_back(packed: bytes, payload: bytes) -> None:
    assert netlink.attributes(packed) == {1: payload}


def test_nested_attributes_come_back_without_their_flag() -> None:
    packed = netlink.nested(18, netlink.text(1, "veth"), netlink.nested(2, netlink.u32(1, 9)))
    inner = netlink.attributes(netlink.attributes(packed)[18])
    assert netlink.to_text(inner[1]) == "veth"
    assert netlink.to_int(netlink.attributes(inner[2])[1]) == 9


def test_walk_keeps_repeated_attributes_in_order() -> None:
    packed = netlink.u8(1, 1) + netlink.u8(1, 2)
    assert [payload for _, payload in netlink.walk(packed)] == [b"\x01", b"\x02"]


def test_picked_attributes_are_those_that_walk_finds_last() -> None:
    packed = netlink.u8(1, 1) + netlink.nested(2, netlink.u32(1, 9)) + netlink.u8(1, 2)
    found = netlink.attributes(packed)
    assert netlink_picked.picked(b"head" + packed, 4, (1, 2, 3)) == [found[1], found[2], b""]
    for cut in range(len(packed)):
        netlink_picked.picked(packed[:cut], 0, (1, 2))


def test_raw_attributes_are_what_they_were() -> None:
    first, second = netlink.nested(1, netlink.u32(2, 3)), netlink.text(4, "five!")
    assert list(netlink.raw(first + second)) == [(1, first), (4, second)]
    assert list(netlink.raw(second.rstrip(b"\0") + b"\0")) == [(4, second)]


@pytest.mark.parametrize("cut", range(4, 12))
def test_a_cut_attribute_ends_the_walk(cut: int) -> None:
    packed = netlink.text(1, "ok") + netlink.text(2, "lost")
    assert 2 not in netlink.attributes(packed[:-cut])


def test_an_attribute_of_length_zero_does_not_loop() -> None:
    assert netlink.attributes(b"\x00\x00\x01\x00" * 3) == {}


def test_frames_stop_at_a_header_that_promises_too_much() -> None:
    good = struct.pack("=IHHII", 20, 16, 0, 1, 0) + b"body"
    bad = struct.pack("=IHHII", 99, 16, 0, 2, 0)
    assert [(kind, body) for kind, _, _, body in netlink.frames(good + bad)] == [(16, b"body")]


def test_result_reads_as_a_person_would_say_it() -> None:
    assert str(netlink.Result()) == "ok"
    result = netlink.Result(error=errno.EEXIST, text="name taken")
    assert str(result) == f"{os.strerror(errno.EEXIST)} (name taken)"


def test_links_are_found_by_name_and_by_index_in_the_connections_namespace() -> None:
    known = dict(socket.if_nameindex())
    with netlink.Connection(netlink.ROUTE) as connection:
        assert {connection.index(name): name for name in known.values()} == known
        assert all(map(connection.has_index, known))
        assert not connection.has_index(max(known) + 1_000_000)
        for absent in ("nope", "x" * 15, "x" * 16, "lo" + "x" * 40):
            with pytest.raises(OSError, match="No such device"):
                connection.index(absent)

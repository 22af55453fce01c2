"""Frames of a duplicate-address probe, byte by byte, and what counts as an answer."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netns.kernel import probe_frames

MAC = bytes.fromhex("021122334455")
OTHER = bytes.fromhex("02aabbccddee")
V4, V6 = ip_address("192.0.2.77"), ip_address("2001:db8::1:7777")


def test_an_arp_probe_names_no_sender() -> None:
    assert probe_frames.probe(V4, MAC).hex() == (
        "ffffffffffff" "021122334455" "0806"
        "0001080006040001" "021122334455" "00000000" "000000000000" "c000024d"
    )  # fmt: skip


def test_a_solicitation_has_no_source_and_a_right_checksum() -> None:
    frame = probe_frames.probe(V6, MAC)
    assert frame[:14].hex() == "3333ff017777" "021122334455" "86dd"  # fmt: skip
    packet = frame[14:]
    assert packet[:8].hex() == "60000000" "0018" "3a" "ff"  # fmt: skip
    assert packet[8:24] == bytes(16)
    assert packet[24:40] == ip_address("ff02::1:ff01:7777").packed
    pseudo = packet[8:40] + (24).to_bytes(4, "big") + (58).to_bytes(4, "big")
    assert probe_frames._checksum(pseudo + packet[40:]) == 0
    assert packet[40:42] == b"\x87\0"
    assert packet[48:] == V6.packed


def arp(owner: str, kind: int = 2) -> bytes:
    head = MAC + OTHER + b"\x08\x06" + bytes.fromhex("000108000604") + kind.to_bytes(2, "big")
    return head + OTHER + ip_address(owner).packed + MAC + bytes(4)


@pytest.mark.parametrize("kind", [1, 2])
def test_who_asks_or_answers_as_the_owner_has_the_address(kind: int) -> None:
    assert probe_frames.answer(arp("192.0.2.9", kind)) == (ip_address("192.0.2.9"), OTHER)
    assert probe_frames.answer(arp("192.0.2.9", kind) + bytes(18)) is not None  # padded


def test_a_probe_of_somebody_else_is_no_answer() -> None:
    assert probe_frames.answer(arp("0.0.0.0", 1)) is None
    assert probe_frames.answer(probe_frames.probe(V6, OTHER)) is None


def advertisement(hops: int = 255, code: int = 0) -> bytes:
    header = bytes.fromhex("600000000018" "3a") + bytes([hops]) + V6.packed + bytes(16)  # fmt: skip
    body = bytes([136, code]) + bytes(2) + bytes.fromhex("60000000") + V6.packed
    return probe_frames.ALL_NODES + OTHER + b"\x86\xdd" + header + body


def test_an_advertisement_counts_when_no_router_can_have_sent_it() -> None:
    assert probe_frames.answer(advertisement()) == (V6, OTHER)
    assert probe_frames.answer(advertisement(hops=64)) is None
    assert probe_frames.answer(advertisement(code=1)) is None
    assert probe_frames.answer(advertisement()[:-1]) is None


@given(st.binary(max_size=120), st.sampled_from([b"", arp("192.0.2.9")[:14], advertisement()[:14]]))
def test_any_bytes_are_an_answer_or_none(tail: bytes, head: bytes) -> None:
    probe_frames.answer(head + tail)

"""Elements of a set as listed, cut or read one by one; and what of prints differs, in words."""

import pytest

from lb.kernel import nft_prints
from sdd.linux.netlink import attribute, nested


def element(key: bytes, *more: bytes) -> bytes:
    return nested(1, nested(1, attribute(1, key)), *more)


@pytest.mark.parametrize(
    "those",
    [
        [],
        [element(b"abcd")],
        [element(b"abcd"), element(b"efgh"), element(b"ijkl")],
        [element(b"abcd"), element(b"abcdefgh"), element(b"ijkl")],
        [element(b"abcd"), element(b"ab"), element(b"abc")],  # padded to one length
        [element(b"abcd"), attribute(1, b"x" * 12)],  # of one length, and something else
    ],
)
def test_all_elements_are_told_whatever_their_lengths(those: list[bytes]) -> None:
    assert list(nft_prints._elements(b"".join(those))) == those


def test_what_differs_is_told_in_words() -> None:
    found = {"output": b"1", "refuse": b"2", "@ported": b"3"}
    assert list(
        nft_prints.differences(found, {"output": b"1", "refuse": b"9", "@ported": b"9"})
    ) == [
        "the rules of the chain 'refuse' do not do what they say",
        "the set 'ported' has not the elements that sdd gives it",
    ]
    assert list(nft_prints.differences(found, found)) == []

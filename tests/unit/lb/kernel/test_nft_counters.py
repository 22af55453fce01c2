"""Elements that are all alike are unpacked in one go, all others one by one: the same is read."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.kernel import nft_counters
from sdd.linux import netlink

NUMBERS = st.integers(0, 2**64 - 1)
KEYS = st.sampled_from([8, 12, 36]).flatmap(
    lambda width: st.lists(
        st.tuples(st.binary(min_size=width, max_size=width), NUMBERS, NUMBERS), max_size=20
    )
)
OTHERS = [
    netlink.attribute(4, struct.pack(">Q", 1000)),  # NFTA_SET_ELEM_TIMEOUT
    netlink.attribute(6, b"\0\1a\0"),  # NFTA_SET_ELEM_USERDATA
]


def element(key: bytes, packets: int, octets: int, *others: bytes) -> bytes:
    """As the kernel writes it: nests without the flag that says so."""
    numbers = netlink.attribute(1, struct.pack(">Q", octets))
    numbers += netlink.attribute(2, struct.pack(">Q", packets))
    counter = netlink.attribute(1, b"counter\0") + netlink.attribute(2, numbers)
    told = netlink.attribute(1, netlink.attribute(1, key)) + b"".join(others)
    return netlink.attribute(1, told + netlink.attribute(7, counter))


def reply(*elements: bytes) -> netlink.Reply:
    body = netlink.text(1, "sdd-lb") + netlink.text(2, "sent4")
    return netlink.Reply(0, b"\1\0\0\0" + body + netlink.attribute(3, b"".join(elements)))


@given(KEYS)
def test_what_is_written_alike_is_read(found: list[nft_counters.Counter]) -> None:
    told = b"".join(element(*each) for each in found)
    alike = nft_counters._alike(told)
    assert alike is not None
    assert list(alike) == found
    assert list(nft_counters._counters([reply(told)])) == found


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_element_of_which_more_is_told_is_read_as_well(other: bytes, at: int) -> None:
    found = [(bytes([10, 0, 0, each, 10, 0, 1, each]), each, 100 * each) for each in range(3)]
    told = [element(*each) for each in found]
    told[at] = element(*found[at], other)
    assert nft_counters._alike(b"".join(told)) is None
    assert list(nft_counters._counters([reply(*told)])) == found


@given(st.binary(max_size=200), st.integers(0, 150))
def test_whatever_it_is_it_ends(junk: bytes, at: int) -> None:
    whole = element(bytes(8), 1, 2) + element(bytes(8), 3, 4)
    for told in (junk, whole[:at] + junk, whole[:at]):
        found = nft_counters._alike(told)
        assert found is None or all(len(each) == 3 for each in found)

"""The short ways to wire names say what the long ones say."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.message import wire
from resolver.names import spelling
from sdd.model.address import Zoned
from sdd.model.network import IPAddress

TEXTS = st.text(st.characters(codec="ascii"), max_size=70) | st.text(max_size=10)
TAIL = wire.to_wire("lab")


def long_way(text: str) -> bytes:
    try:
        return wire.to_wire(text)
    except ValueError:
        return b""


@given(TEXTS)
def test_a_name_is_spelled_as_any_is(text: str) -> None:
    assert spelling.spelled(text) == spelling.wire_name(text) == long_way(text)
    bare = text.removesuffix(".")
    wanted = tuple(filter(None, (long_way(bare), long_way(f"{bare}.lab") if bare else b"")))
    assert spelling.owners(text, TAIL) == wanted
    assert spelling.below(text, TAIL) == (wanted[1] if len(wanted) > 1 else b"")


def test_a_name_too_long_with_its_networks_is_there_alone() -> None:
    text = ".".join(("x" * 63,) * 3 + ("y" * 58,))
    assert [len(each) for each in spelling.owners(text, TAIL)] == [252]
    assert [len(each) for each in spelling.owners(text[:-1], TAIL)] == [251, 255]
    assert spelling.owners("a", b"") == (b"\1a\0",)
    assert spelling.below("a", b"") == b""


@given(st.ip_addresses())
def test_an_address_leads_back_by_the_name_that_python_gives_it(of: IPAddress) -> None:
    assert spelling.pointer(of) == wire.to_wire(of.reverse_pointer)


def test_the_ends_of_the_addresses_lead_back_too() -> None:
    for text in ("0.0.0.0", "255.255.255.255", "::", "ffff:ffff::ffff"):
        wanted = dns.reversename.from_address(text).to_wire()
        assert spelling.pointer(ip_address(text)) == wanted
    assert spelling.pointer(IPv4Address("10.1.2.3")) == b"\0013\0012\0011\00210\7in-addr\4arpa\0"


def test_an_address_that_names_a_link_has_no_name() -> None:
    with pytest.raises(Zoned):
        spelling.pointer(IPv6Address("fe80::1%eth0"))


def test_what_is_above_a_name() -> None:
    assert spelling.parent(b"\1a\3lab\0") == TAIL
    assert spelling.parent(TAIL) == spelling.ROOT

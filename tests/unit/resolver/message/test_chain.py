"""What an answer may speak of: the name that was asked and those that its aliases lead to."""

import itertools

import dns.edns
import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.message import chain, reply, wire
from tests.unit.resolver.questions import data, query

ASKED = data("www.example.org", use_edns=0)
FOUND = query("www.example.org", use_edns=0)


def upstream(*answers: str) -> bytes:
    made = dns.message.make_response(dns.message.from_wire(ASKED), recursion_available=True)
    for text in answers:
        owner, kind, rest = text.split(" ", 2)
        made.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, rest))
    made.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.FORGED_ANSWER, "forged")])
    return made.to_wire(max_size=65535)


def read(*answers: str) -> reply.Reply | None:
    return reply.read(upstream(*answers), FOUND.end, dnssec=False)


def kept(*answers: str) -> list[str]:
    found = read(*answers)
    assert found is not None
    shown = dns.message.from_wire(reply.for_client(found, ASKED, FOUND, stream=False))
    return [f"{each.name} {each[0].rdtype.name} {each[0]}" for each in shown.answer]


CHAIN = (
    "www.example.org. CNAME a.example.net.",
    "a.example.net. CNAME b.example.net.",
    "b.example.net. A 192.0.2.1",
)


def test_a_chain_is_kept_and_known_by_its_aliases() -> None:
    found = read(*CHAIN)
    assert found is not None
    assert kept(*CHAIN) == list(CHAIN)
    assert found.aliases == (
        (0, wire.to_wire("a.example.net")),
        (1, wire.to_wire("b.example.net")),
    )


def test_A8_56_a_record_of_a_stranger_is_dropped_and_nothing_else() -> None:
    mixed = ("evil.example.net. A 6.6.6.6", *CHAIN, "example.org. A 6.6.6.6")
    assert kept(*mixed) == list(CHAIN)
    found = read(*mixed)
    assert found is not None
    assert [each.text for each in found.explain] == ["forged"]


def test_A8_56_an_answer_about_others_only_is_none() -> None:
    assert read("evil.example.net. A 6.6.6.6") is None
    assert read("a.example.net. CNAME www.example.org.") is None


def test_owners_that_point_and_owners_in_full_are_the_same() -> None:
    heads = ASKED[:2] + b"\x81\x80\0\1\0\2" + bytes(4) + ASKED[12 : FOUND.end]
    target = b"\1a\xc0\x10"
    alias = b"\xc0\x0c" + wire.record(wire.CNAME, 60, target)
    at = FOUND.end + 2 + wire.RECORD_HEAD
    for owner in ((0xC000 | at).to_bytes(2, "big"), target):
        found = reply.read(
            heads + alias + owner + wire.record(1, 60, bytes(4)), FOUND.end, dnssec=False
        )
        assert found is not None
        assert found.answers == 2
        assert found.aliases == ((0, wire.to_wire("a.example.org")),)


@given(st.permutations(CHAIN))
def test_records_may_come_in_any_order(answers: list[str]) -> None:
    assert set(kept(*answers)) == set(CHAIN)
    found = read(*answers)
    assert found is not None
    assert [each.target for each in found.aliases] == [
        wire.to_wire("a.example.net"),
        wire.to_wire("b.example.net"),
    ]


def test_a_dname_above_an_alias_belongs_to_it_and_another_does_not() -> None:
    moved = (
        "example.org. DNAME example.net.",
        "www.example.org. CNAME www.example.net.",
        "www.example.net. A 192.0.2.1",
    )
    assert kept(*moved, "example.com. DNAME evil.example.") == list(moved)


@pytest.mark.parametrize("extra", [0, 1])
def test_a_chain_has_ten_aliases_at_most(extra: int) -> None:
    names = ["www.example.org.", *(f"n{number}.example." for number in range(chain.MOST + extra))]
    aliases = [f"{one} CNAME {other}" for one, other in itertools.pairwise(names)]
    found = read(*aliases, f"{names[-1]} A 192.0.2.1")
    assert (found is None) == bool(extra)


def test_a_circle_ends() -> None:
    circle = ("www.example.org. CNAME a.example.", "a.example. CNAME www.example.org.")
    assert kept(*circle) == list(circle)


def test_names_are_compared_without_case() -> None:
    mixed = ("WWW.example.org. CNAME A.example.net.", "a.EXAMPLE.net. A 192.0.2.1")
    assert len(kept(*mixed)) == 2

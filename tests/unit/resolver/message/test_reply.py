import itertools

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from resolver.message import reply, wire
from resolver.message.wire import Rcode
from resolver.upstream import forward
from tests.unit.resolver.questions import data, query

ASKED = data("www.example.org", use_edns=0)
FOUND = query("www.example.org", use_edns=0)


def upstream(*answers: str, authority: str = "", rcode: int = 0) -> bytes:
    made = dns.message.make_response(dns.message.from_wire(ASKED), recursion_available=True)
    made.set_rcode(dns.rcode.Rcode(rcode))
    for text in answers:
        owner, ttl, kind, rest = text.split(" ", 3)
        made.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, rest))
    if authority:
        owner, ttl, kind, rest = authority.split(" ", 3)
        made.authority.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, rest))
    made.additional.append(dns.rrset.from_text("evil.example.org.", 9, "IN", "A", "6.6.6.6"))
    return made.to_wire(max_size=65535)


def read(wired: bytes, *, dnssec: bool = False) -> reply.Reply:
    found = reply.read(wired, FOUND.end, dnssec=dnssec)
    assert found is not None
    return found


def said(found: reply.Reply, **more: object) -> dns.message.Message:
    return dns.message.from_wire(reply.for_client(found, ASKED, FOUND, stream=False, **more))  # type: ignore[arg-type]  # options of one test each


SOA = "example.org. 300 SOA ns.example.org. who.example.org. 1 2 3 4 60"
NS = "example.org. 300 NS ns.example.org."


def test_answers_are_kept_and_authority_and_additional_are_not() -> None:
    found = read(upstream("www.example.org. 60 A 192.0.2.1", authority=NS))
    shown = said(found)
    assert [str(each) for each in shown.answer] == ["www.example.org. 60 IN A 192.0.2.1"]
    assert not shown.authority
    assert not shown.additional
    assert (found.lowest, found.negative) == (60, None)


def test_a_negative_reply_keeps_its_soa() -> None:
    found = read(upstream(authority=SOA, rcode=3))
    assert said(found).rcode() == dns.rcode.NXDOMAIN
    assert len(said(found).authority) == 1
    assert found.negative == 60


ALIAS = "www.example.org. 900 CNAME end.example.org."
ADDRESS = "end.example.org. 60 A 192.0.2.1"


@pytest.mark.parametrize("rcode", [0, 3])
def test_no_at_the_end_of_aliases_is_a_denial_with_its_soa(rcode: int) -> None:
    found = read(upstream(ALIAS, authority=SOA, rcode=rcode))
    shown = said(found)
    assert (shown.rcode(), len(shown.answer)) == (rcode, 1)
    assert [(each.rdtype.name, each.ttl) for each in shown.authority] == [("SOA", 60)]
    assert (found.denies, found.lowest, found.negative) == (True, 900, 60)
    assert reply.has_none(shown.to_wire())


def test_aliases_with_what_was_asked_at_their_end_deny_nothing() -> None:
    found = read(upstream(ALIAS, ADDRESS, authority=SOA))
    assert not found.denies
    assert not said(found).authority
    assert not reply.has_none(said(found).to_wire())
    signed = read(upstream(ALIAS, ADDRESS, authority=SOA), dnssec=True)
    assert not reply.has_none(said(signed).to_wire())


def test_of_aliases_alone_no_authority_is_kept_that_says_who_else_could_be_asked() -> None:
    found = read(upstream(ALIAS, authority=NS))
    assert found.denies
    assert not said(found).authority


@pytest.mark.parametrize(("kind", "denies"), [("CNAME", False), ("ANY", False), ("AAAA", True)])
def test_whether_aliases_are_what_was_asked_depends_on_the_type(kind: str, denies: bool) -> None:
    asked = data("www.example.org", kind)
    made = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    made.answer.append(dns.rrset.from_text("www.example.org.", 9, "IN", "CNAME", "end.example."))
    found = reply.read(made.to_wire(), FOUND.end, dnssec=False)
    assert found is not None
    assert found.denies is denies


def test_addresses_of_the_other_version_are_none_of_those_asked_for() -> None:
    asked = data("www.example.org", "AAAA")
    made = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    made.answer.append(dns.rrset.from_text("www.example.org.", 9, "IN", "A", "192.0.2.1"))
    found = reply.read(made.to_wire(), FOUND.end, dnssec=False)
    assert found is not None
    assert found.denies


def test_A2_a_denial_is_kept_by_nobody_for_longer_than_the_soa_says() -> None:
    found = read(upstream(authority=SOA, rcode=3))  # TTL 300, MINIMUM 60
    assert said(found).authority[0].ttl == 60
    assert said(found, aged_s=58).authority[0].ttl == 2
    short = read(upstream(authority=SOA.replace(" 300 ", " 20 "), rcode=3))
    assert said(short).authority[0].ttl == 20
    proof = "www.example.org. 60 A 192.0.2.1"  # the authority of an answer is no denial
    assert said(read(upstream(proof, authority=NS), dnssec=True)).authority[0].ttl == 300


def test_a_denial_that_is_doubted_is_kept_shortly_by_all() -> None:
    found = read(upstream(authority=SOA, rcode=3))  # TTL 300, MINIMUM 60
    for most_s, kept_s in ((5, 5), (300, 60)):
        short = reply.denied_for(found, most_s)
        assert short.negative == kept_s
        assert said(short).authority[0].ttl == kept_s
    positive = read(upstream("www.example.org. 60 A 192.0.2.1"))
    assert reply.denied_for(positive, 5) is positive


@pytest.mark.parametrize(("room", "told"), [(28, ""), (27, ""), (26, "old")])
def test_an_explanation_never_takes_the_place_of_a_record(room: int, told: str) -> None:
    """RFC 8914 §3; 28 addresses leave 17 bytes of 512, in which the code alone has room."""
    found = read(upstream(*(f"www.example.org. 60 A 192.0.2.{n}" for n in range(room))))
    wired = reply.for_client(
        found,
        ASKED,
        FOUND._replace(limit=512),
        stream=False,
        explain=[wire.Explain(3, told or "o" * 90)],
    )
    shown = dns.message.from_wire(wired)
    assert not shown.flags & dns.flags.TC
    assert len(shown.answer[0]) == room
    assert [(each.code, each.text or "") for each in shown.extended_errors()] == [(3, told)]


def test_dnssec_keeps_the_authority_of_an_answer() -> None:
    wired = upstream("www.example.org. 60 A 192.0.2.1", authority=NS)
    assert len(said(read(wired, dnssec=True)).authority) == 1


def test_A8_58_ttls_are_capped_and_the_top_bit_means_zero() -> None:
    wired = bytearray(upstream("www.example.org. 60 A 192.0.2.1"))
    at = wired.index(b"\0\0\0\x3c")
    wired[at : at + 4] = (10 * 365 * 86400).to_bytes(4, "big")
    assert said(read(bytes(wired))).answer[0].ttl == reply.MOST_TTL_S
    wired[at : at + 4] = b"\x80\0\0\1"
    assert said(read(bytes(wired))).answer[0].ttl == 0


def test_age_lowers_every_ttl_and_stale_sets_it() -> None:
    found = read(
        upstream("www.example.org. 60 CNAME a.example.org.", "a.example.org. 90 A 192.0.2.1")
    )
    assert [each.ttl for each in said(found, aged_s=25).answer] == [35, 65]
    assert [each.ttl for each in said(found, aged_s=2500).answer] == [0, 0]
    assert [each.ttl for each in said(found, ttl_s=30).answer] == [30, 30]


def test_the_records_of_a_set_have_its_lowest_ttl() -> None:
    wired = bytearray(
        upstream("www.example.org. 60 A 192.0.2.1", "www.example.org. 60 A 192.0.2.2")
    )
    at = wired.rindex(b"\0\0\0\x3c")
    wired[at + 3] = 5
    shown = said(read(bytes(wired)))
    assert [each.ttl for each in shown.answer] == [5]
    other = at - 16
    assert wired[other : other + 4] == b"\0\0\0\x3c"


@pytest.mark.parametrize(
    ("kind", "length"), [("A", 5), ("A", 3), ("A", 0), ("AAAA", 4), ("AAAA", 17)]
)
def test_A8_46_an_address_of_another_length_spoils_the_reply(kind: str, length: int) -> None:
    made = wire.respond(ASKED, FOUND, 0, [wire.record(getattr(wire, kind), 60, bytes(length))])
    assert reply.read(made, FOUND.end, dnssec=False) is None


def test_A8_46_a_record_of_another_class_spoils_the_reply() -> None:
    record = bytearray(wire.record(wire.A, 60, bytes(4)))
    record[3] = 3  # CH
    made = wire.respond(ASKED, FOUND, 0, [bytes(record)])
    assert reply.read(made, FOUND.end, dnssec=False) is None


def test_a_long_reply_is_cut_to_whole_records_for_udp_only() -> None:
    found = read(upstream(*(f"www.example.org. 60 A 192.0.2.{n}" for n in range(200))))
    short = reply.for_client(found, ASKED, FOUND, stream=False)
    assert len(short) <= 1232
    cut = dns.message.from_wire(short, one_rr_per_rrset=True)
    assert 60 < len(cut.answer) < 200
    assert cut.flags & 0x0200
    whole = dns.message.from_wire(
        reply.for_client(found, ASKED, FOUND, stream=True), one_rr_per_rrset=True
    )
    assert len(whole.answer) == 200
    assert not whole.flags & 0x0200


def test_the_askers_case_comes_back() -> None:
    found = read(upstream("www.example.org. 60 A 192.0.2.1"))
    mixed = data("wWw.eXample.org")
    shown = reply.for_client(found, mixed, query("www.example.org"), stream=False)
    assert shown[12:33] == mixed[12:33]
    assert shown[:2] == mixed[:2]


def test_a_server_that_can_tell_nothing_is_lame() -> None:
    wired = bytearray(upstream())
    assert not read(bytes(wired)).is_lame
    wired[3] &= 0x7F
    assert read(bytes(wired)).is_lame


HEAD = ASKED[:2] + b"\x81\x80\0\1"
QUESTION = ASKED[12 : FOUND.end]
A = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4"


def broken(answers: int, records: bytes) -> bytes:
    return HEAD + answers.to_bytes(2, "big") + bytes(4) + QUESTION + records


@pytest.mark.parametrize(
    "records",
    [
        A[:-1],  # A8_46: RDLENGTH beyond the end
        A[:10] + b"\xff\xff\1\2\3\4",
        b"\xc0\xff" + A[2:],  # a pointer forward
        b"\xc0\x21" + A[2:],  # to itself
        b"\xc0\0" + A[2:],  # into the header
        b"\x3fxx",
        b"\x80" + A,
        b"\1x" * 127 + b"\xc0\x0c" + A[2:],  # 274 bytes by its pointer
        b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\xff",  # CNAME to nowhere
        b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\1\3",  # a name beyond its data
        b"\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\2\0\1",  # MX without a name
        b"",
    ],
)
def test_A8_46_what_is_not_whole_is_no_reply(records: bytes) -> None:
    assert reply.read(broken(1, records), FOUND.end, dnssec=False) is None


@pytest.mark.parametrize(
    ("answers", "records"),
    [
        (2, b"\xc0\x0c\0\1\0\1\0\0\1\1\0\4\1\2\3\4\xc0\x29" + A[2:]),  # its TTL reads as a name
        (2, b"\xc0\x0c\0\1\0\1\0\0\1\1\0\4\1\2\3\4\1x\xc0\x29" + A[2:]),  # "x", and from its TTL
        (1, b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x27"),  # data that points to the same record's TTL
        (2, A + b"\xc0\x20" + A[2:]),  # from the question's class over all of the first record
    ],
)
def test_A8_46_a_name_that_would_change_with_a_ttl_is_none(answers: int, records: bytes) -> None:
    assert reply.read(broken(answers, records), FOUND.end, dnssec=False) is None


def test_a_name_may_point_to_any_name_before_it() -> None:
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\1a\xc0\x10"  # a.example.org, at 0x2d
    more = b"\xc0\x2d" + alias[2:-3] + b"b\xc0\x10"  # b.example.org, behind the same end
    wired = broken(3, alias + more + b"\1b\xc0\x2f" + A[2:])
    owners = [each.name.to_text() for each in said(read(wired)).answer]
    assert owners == ["www.example.org.", "a.example.org.", "b.example.org."]


def test_of_too_many_records_it_is_said_that_they_are() -> None:
    found = reply.read(broken(1025, A * 1025), FOUND.end, dnssec=False)
    assert found is not None
    shown = said(found, explain=found.explain)
    assert (shown.rcode(), shown.answer) == (dns.rcode.SERVFAIL, [])
    assert "1025 records" in (shown.extended_errors()[0].text or "")
    assert not forward.blames_edns(found)  # so it is not asked for again
    whole = reply.read(broken(1024, A * 1024), FOUND.end, dnssec=False)
    assert whole is not None
    assert whole.answers == 1024


def chained(aliases: int) -> bytes:
    names = ["www.example.org.", *(f"a{n}.example.org." for n in range(aliases))]
    pairs = itertools.pairwise(names)
    told = (f"{one} 60 CNAME {other}" for one, other in pairs)
    return upstream(*told, f"{names[-1]} 60 A 192.0.2.1")


def test_only_too_many_aliases_make_a_reply_endless() -> None:
    assert reply.read(chained(10), FOUND.end, dnssec=False)
    assert not reply.is_endless(chained(10), FOUND.end)
    assert reply.read(chained(11), FOUND.end, dnssec=False) is None
    assert reply.is_endless(chained(11), FOUND.end)
    for broken in (chained(11)[:-1], upstream("evil.example. 60 A 6.6.6.6")):
        assert reply.read(broken, FOUND.end, dnssec=False) is None
        assert not reply.is_endless(broken, FOUND.end)


def test_A8_40_unknown_types_pass_as_they_are() -> None:
    record = b"\xc0\x0c\xfe\0\0\1\0\0\0\x3c\0\5\xc0\0\xff\1\2"
    found = reply.read(broken(1, record), FOUND.end, dnssec=False)
    assert found is not None
    assert reply.for_client(found, ASKED, FOUND, stream=False).count(record) == 1


def test_our_own_failure_is_a_reply_too() -> None:
    shown = said(reply.failure(ASKED, FOUND, Rcode.SERVFAIL), explain=[wire.Explain(13, "before")])
    assert shown.rcode() == dns.rcode.SERVFAIL
    assert shown.extended_errors()[0].code == 13


@pytest.mark.parametrize("rcode", [dns.rcode.BADVERS, dns.rcode.BADCOOKIE, 0xFFF])
def test_the_rest_of_the_code_is_in_the_opt(rcode: int) -> None:
    asked = dns.message.from_wire(ASKED)
    answer = dns.message.make_response(asked)
    answer.set_rcode(dns.rcode.Rcode.make(rcode))
    found = reply.read(answer.to_wire(), FOUND.end, dnssec=False)
    assert found is not None
    assert found.rcode == rcode


def test_N10_addresses_are_turned_and_nothing_else() -> None:
    alias = "www.example.org. 60 CNAME a.example.org."
    found = read(upstream(alias, *(f"a.example.org. 60 A 192.0.2.{n}" for n in (1, 2, 3))))
    seen = []
    for turn in range(4):
        shown = said(found, turn=turn)
        assert str(shown.answer[0]).endswith("CNAME a.example.org.")
        seen.append([each.to_text().rpartition(".")[2] for each in shown.answer[1]])
    assert seen == [["1", "2", "3"], ["2", "3", "1"], ["3", "1", "2"], ["1", "2", "3"]]


def test_records_whose_order_matters_are_not_turned() -> None:
    assert read(upstream("www.example.org. 60 A 192.0.2.1")).spin is None
    mail = [f"www.example.org. 60 MX {n} m{n}.example.org." for n in (1, 2)]
    assert read(upstream(*mail)).spin is None

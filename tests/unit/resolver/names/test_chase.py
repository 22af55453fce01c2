"""An alias of ours and what others say of its end are one reply."""

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.message import wire
from resolver.names import chase
from tests.unit.resolver.questions import data

END = "www.example"
LABELS = st.text("abc", min_size=1, max_size=3)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(lambda labels: ".".join(labels) + ".")
RECORDS = st.one_of(
    st.tuples(NAMES, st.just("A"), st.just("192.0.2.1")),
    st.tuples(NAMES, st.just("CNAME"), NAMES),
    st.tuples(NAMES, st.just("MX"), NAMES.map("7 {}".format)),
    st.tuples(NAMES, st.just("SOA"), NAMES.map("{0} {0} 1 2 3 4 5".format)),
    st.tuples(NAMES, st.just("SRV"), NAMES.map("1 2 3 {}".format)),
    st.tuples(NAMES, st.just("TXT"), st.just('"some text"')),
)


def onward(name: str = "Go.Lab", kind: str = "A", **options: object) -> chase.Onward:
    asked = data(name, kind, **options)
    query = wire.parse(asked)
    assert isinstance(query, wire.Query)
    alias = wire.record(wire.CNAME, 5, wire.to_wire(END))
    return chase.onward(query, asked, (wire.POINTER + alias,), wire.to_wire(END))


def said(asked: chase.Onward, *records: tuple[str, str, str]) -> dns.message.Message:
    reply = dns.message.make_response(dns.message.from_wire(asked.message))
    for owner, kind, text in records:
        reply.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, text))
    return reply


def told(asked: chase.Onward, reply: dns.message.Message, **options: bool) -> dns.message.Message:
    whole = chase.joined(asked, reply.to_wire(max_size=65535), stream=options.get("stream", True))
    return dns.message.from_wire(whole)


def lines(reply: dns.message.Message) -> list[str]:
    return [line for each in reply.answer for line in each.to_text().split("\n")]


def test_the_question_for_the_end_is_the_same_but_for_the_name() -> None:
    asked = onward(use_edns=0, want_dnssec=True)
    message = dns.message.from_wire(asked.message)
    assert (str(message.question[0].name), message.id) == (
        f"{END}.",
        int.from_bytes(asked.data[:2]),
    )
    assert message.ednsflags & dns.flags.DO
    assert wire.parse(asked.message) == asked.end


def test_the_answer_begins_with_our_alias_and_keeps_the_case_of_the_question() -> None:
    asked = onward()
    whole = told(asked, said(asked, (f"{END}.", "A", "192.0.2.9")))
    assert lines(whole) == [f"Go.Lab. 5 IN CNAME {END}.", f"{END}. 60 IN A 192.0.2.9"]
    assert whole.flags & dns.flags.AA
    assert whole.question[0].name.to_text() == "Go.Lab."


@given(st.lists(RECORDS, max_size=20))
def test_names_that_were_compressed_are_the_same_names(records: list[tuple[str, str, str]]) -> None:
    asked = onward()
    reply = said(asked, *records)
    assert lines(told(asked, reply))[1:] == lines(
        dns.message.from_wire(reply.to_wire(max_size=65535))
    )


def test_no_such_name_brings_the_aliases_and_the_soa() -> None:
    asked = onward()
    reply = said(asked)
    reply.set_rcode(dns.rcode.NXDOMAIN)
    soa = "ns.example. me.example. 1 2 3 4 5"
    reply.authority.append(dns.rrset.from_text("example.", 60, "IN", "SOA", soa))
    whole = told(asked, reply)
    assert (whole.rcode(), len(whole.answer)) == (dns.rcode.NXDOMAIN, 1)  # RFC 6604 §3
    assert whole.authority[0].to_text() == f"example. 5 IN SOA {soa}"  # no longer than MINIMUM


def test_a_code_that_we_do_not_know_is_passed_on() -> None:
    asked = onward()
    reply = said(asked)
    reply.set_rcode(dns.rcode.YXDOMAIN)
    assert told(asked, reply).rcode() == dns.rcode.YXDOMAIN


def test_what_is_to_be_said_of_either_part_is_said() -> None:
    asked = onward(use_edns=0)._replace(explain=(wire.Explain(3, "old aliases"),))
    reply = said(asked, (f"{END}.", "A", "192.0.2.9"))
    reply.use_edns(
        0, options=[dns.edns.EDEOption(dns.edns.EDECode.STALE_NXDOMAIN_ANSWER, "an old end")]
    )
    told_both = [(int(each.code), each.text) for each in told(asked, reply).extended_errors()]
    assert told_both == [(3, "old aliases"), (19, "an old end")]


def test_a_failure_brings_no_alias_and_keeps_its_explanation() -> None:
    asked = onward(use_edns=0)
    failed = wire.respond(
        asked.message,
        asked.end,
        wire.Rcode.SERVFAIL,
        stream=True,
        authoritative=False,
        explain=[wire.Explain(22, "nobody")],
    )
    whole = dns.message.from_wire(chase.joined(asked, failed, stream=False))
    assert (whole.rcode(), whole.answer) == (dns.rcode.SERVFAIL, [])
    assert [int(each.code) for each in whole.extended_errors()] == [22]
    assert whole.question[0].name.to_text() == "Go.Lab."


def test_who_speaks_no_edns_hears_of_the_failure_alone() -> None:
    """What is said of the end has its reasons all the same: what is made of it hangs on them."""
    asked = onward()
    failed = wire.respond(
        asked.message, asked.end, wire.Rcode.SERVFAIL, stream=True, explain=[wire.Explain(0, "why")]
    )
    assert len(dns.message.from_wire(failed).extended_errors()) == 1
    whole = dns.message.from_wire(chase.joined(asked, failed, stream=False))
    assert (whole.rcode(), whole.edns, whole.answer) == (dns.rcode.SERVFAIL, -1, [])


@pytest.mark.parametrize("edns", [False, True])
def test_over_udp_whole_records_as_many_as_fit(edns: bool) -> None:
    asked = onward(use_edns=0 if edns else -1)
    many = [(f"{END}.", "A", f"192.0.2.{n}") for n in range(200)]
    reply = said(asked, *many)
    whole = chase.joined(asked, reply.to_wire(max_size=65535), stream=False)
    assert len(whole) <= (1232 if edns else 512)
    parsed = dns.message.from_wire(whole)
    assert parsed.flags & dns.flags.TC
    assert len(lines(parsed)) > 10
    assert len(lines(told(asked, reply))) == 201

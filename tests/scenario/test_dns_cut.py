"""Answers too long for UDP, of servers that do not give them over TCP, or not for every name."""

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from resolver import protocol
from resolver.message import wire
from tests.scenario.test_dns_forwarding import (
    Make,
    Reply,
    Scripted,
    explanations,
    good,
    scripted,
    served,
    texts,
)
from tests.scenario.worker import Session, ask, over_tcp, over_udp
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's
AT_ONCE_S, WITHIN_S = 0.5, 1.5  # of the worker; `forward.STREAM_S` lies between


def cut(query: dns.message.Message, stream: bool) -> bytes | None:
    """What fits of it over UDP, nothing over TCP."""
    if stream:
        return None
    answer = dns.message.from_wire(good(query, stream))
    answer.flags |= dns.flags.TC
    return answer.to_wire()


def bare(query: dns.message.Message, stream: bool) -> bytes:
    """A header that says TC over UDP, an address over TCP."""
    if stream:
        return good(query, stream)
    answer = dns.message.make_response(query, recursion_available=True)
    answer.flags |= dns.flags.TC
    return answer.to_wire()


def closes(query: dns.message.Message, stream: bool) -> bytes | None:
    """As `bare`, but for names `close…`, of which nothing is told over TCP."""
    is_closed = query.question[0].name.to_text().lower().startswith("close")
    return None if stream and is_closed else bare(query, stream)


def asked(
    ports: tuple[int, int], name: str, kind: str = "A", *, tcp: bool = False
) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=0)
    if tcp:
        return over_tcp(query, ports)
    return over_udp(query, ports)


def withhold(server: Scripted, is_refused: bool) -> None:
    if is_refused:
        server.refuse_tcp()
    else:
        server.hang_tcp()


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_cut_reply_is_given_when_there_is_no_tcp(
    session: Session, scripted: Make, is_refused: bool
) -> None:
    server = scripted(cut)
    withhold(server, is_refused)
    ports = served(session, server)
    for number in range(4):
        with session.clock.held(AT_ONCE_S if is_refused else WITHIN_S):
            reply = ask(ports, f"n{number}.example.org")
        assert reply.flags & dns.flags.TC
        assert texts(reply) == {"192.0.2.9"}
    session.say(protocol.ListUpstreams(0))
    listed = session.hear()
    assert isinstance(listed, protocol.UpstreamsListed)
    assert {each.state for each in listed.rows} == {"up"}


def test_a_name_that_stalls_over_tcp_takes_tcp_from_no_other(
    session: Session, scripted: Make
) -> None:
    server = scripted(bare)
    ports, others = served(session, server), session.serve("t", {}, [server.server()])
    session.apply(2)
    server.hang_tcp()
    assert asked(ports, "stalls.example.org").rcode() == dns.rcode.SERVFAIL
    server.holds_tcp = False
    for number in range(3):
        assert texts(asked(others, f"n{number}.example.net")) == {"192.0.2.9"}


def test_a_connection_that_ends_takes_tcp_from_no_other(session: Session, scripted: Make) -> None:
    ports = served(session, scripted(closes))
    assert asked(ports, "close.example.org").rcode() == dns.rcode.SERVFAIL
    assert texts(asked(ports, "www.example.org")) == {"192.0.2.9"}


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("is_refused", [True, False])
def test_a_cut_reply_that_says_nothing_is_a_failure(
    session: Session, scripted: Make, is_refused: bool, tcp: bool
) -> None:
    server = scripted(bare)
    withhold(server, is_refused)
    ports = served(session, server)
    for name in ("www.example.org", "ftp.example.org"):
        reply = asked(ports, name, tcp=tcp)
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert explanations(reply) == [0]
    with session.clock.held():  # it is remembered, whatever else the server says meanwhile
        assert asked(ports, "www.example.org", tcp=tcp).rcode() == dns.rcode.SERVFAIL


def test_an_alias_alone_of_a_cut_reply_says_nothing(session: Session, scripted: Make) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes | None:
        if stream:
            return None
        answer = dns.message.from_wire(bare(query, stream))
        name = query.question[0].name
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", "big.example.net."))
        return answer.to_wire()

    ports = served(session, scripted(script))
    assert asked(ports, "www.example.org").rcode() == dns.rcode.SERVFAIL
    assert asked(ports, "www.example.org", "CNAME").answer


def test_over_tcp_some_addresses_are_given_and_no_part_of_anything_else(
    session: Session, scripted: Make
) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes | None:
        if stream:
            return None
        answer = dns.message.from_wire(bare(query, stream))
        question = query.question[0]
        text = "192.0.2.9" if question.rdtype == dns.rdatatype.A else '"v=spf1 "'
        answer.answer.append(
            dns.rrset.from_text(
                question.name, 60, "IN", dns.rdatatype.to_text(question.rdtype), text
            )
        )
        return answer.to_wire()

    ports = served(session, scripted(script))
    assert texts(asked(ports, "www.example.org", tcp=True)) == {"192.0.2.9"}
    assert asked(ports, "www.example.org", "TXT").flags & dns.flags.TC
    reply = asked(ports, "www.example.org", "TXT", tcp=True)
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert "too long for UDP" in str(reply.extended_errors()[0])


def test_A8_85_an_old_whole_answer_is_better_than_a_part_of_the_new_one(
    session: Session, scripted: Make
) -> None:
    def answer(query: dns.message.Message, *items: str) -> dns.message.Message:
        made = dns.message.make_response(query, recursion_available=True)
        made.answer.append(dns.rrset.from_text(query.question[0].name, 1, "IN", "TXT", *items))
        return made

    def script(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        return answer(query, '"one"', '"two"').to_wire()

    def half(query: dns.message.Message, stream: bool) -> bytes | None:
        part = answer(query, '"one"')
        part.flags |= dns.flags.TC
        return None if stream else part.to_wire()

    server = scripted(script)
    ports = served(session, server)
    assert len(texts(asked(ports, "www.example.org", "TXT", tcp=True))) == 2
    server.script = half
    old: list[dns.message.Message] = []

    def is_old() -> bool:
        old.append(asked(ports, "www.example.org", "TXT", tcp=True))
        return explanations(old[-1]) == [3]

    eventually(is_old, 30, "what was known is over")
    assert len(texts(old[-1])) == 2
    part = asked(ports, "www.example.org", "TXT")
    assert part.flags & dns.flags.TC  # who asks so is to ask over TCP
    assert len(texts(asked(ports, "www.example.org", "TXT", tcp=True))) == 2


def test_the_next_server_is_asked_for_what_the_first_cannot_give(
    session: Session, scripted: Make
) -> None:
    server, better = scripted(bare), scripted(good)
    server.refuse_tcp()
    ports = served(session, server, better)
    for number in range(3):
        assert texts(asked(ports, f"n{number}.example.org")) == {"192.0.2.9"}
    assert len(better.heard) == 3


def shouts(query: dns.message.Message, stream: bool) -> bytes:
    """Over UDP the letters of the question come back as capitals."""
    wired = bytearray(good(query, stream))
    if not stream:
        end = 12 + len(query.question[0].name.to_wire() or b"")
        wired[12:end] = wired[12:end].upper()
    return bytes(wired)


@pytest.mark.parametrize(
    ("script", "why"),
    [(bare, "did not fit a datagram"), (shouts, "came back in other letters"), (good, "")],
)
def test_the_trace_tells_why_a_question_went_over_tcp(
    session: Session, scripted: Make, script: Reply, why: str
) -> None:
    name = "a-long-name-with-many-letters.example.org"
    server = scripted(script)
    ports = served(session, server)
    assert texts(asked(ports, name)) == {"192.0.2.9"}
    session.say(protocol.Explain("s", wire.to_wire(name), wire.A))
    told = session.hear()
    assert isinstance(told, protocol.Explained)
    (tried,) = (each.text for each in told.steps if each.stage == "tried")
    over = f"over tcp (over udp it {why})" if why else "over udp"
    assert tried.startswith(f"{server.server().label} {over}: NOERROR in ")

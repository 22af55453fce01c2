"""Upstream servers that are well but for one thing: nobody else loses by it."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import msgspec
import pytest

from resolver import protocol
from resolver.message import wire
from resolver.upstream import forward
from resolver.upstream.forwarder import PATIENCE_S
from tests.scenario.test_dns_forwarding import (
    Make,
    Reply,
    address,
    asked,
    explanations,
    failing,
    good,
    mute,
    scripted,
    served,
    texts,
)
from tests.scenario.worker import HANGS_S, Session, ask
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's
AT_ONCE_S = 0.5  # of the worker: less than any try takes


def test_a_server_that_forgets_case_and_has_no_tcp_answers_the_first_question(
    session: Session, scripted: Make
) -> None:
    def lower(query: dns.message.Message, stream: bool) -> bytes:
        wired = bytearray(good(query, stream))
        end = 12 + len(query.question[0].name.to_wire() or b"")
        wired[12:end] = wired[12:end].lower()
        return bytes(wired)

    forgets = scripted(lower)
    forgets.refuse_tcp()
    ports = served(session, forgets)
    assert texts(ask(ports, "a-long-name-with-many-letters.example.org")) == {"192.0.2.9"}
    assert len(forgets.heard) == 4


def test_a_question_that_is_refused_for_itself_turns_edns_off_for_nobody(
    session: Session, scripted: Make
) -> None:
    def picky(query: dns.message.Message, stream: bool) -> bytes:
        bad = query.question[0].name.to_text().lower().startswith("bad")
        return failing(query, dns.rcode.FORMERR) if bad else good(query, stream)

    server = scripted(picky)
    ports = served(session, server)
    assert ask(ports, "bad.example.org").rcode() == dns.rcode.SERVFAIL
    session.say(protocol.ListUpstreams(0))
    listed = session.hear()
    assert isinstance(listed, protocol.UpstreamsListed)
    assert [each.edns for each in listed.rows] == [True]


def test_meta_types_are_never_forwarded(session: Session, scripted: Make) -> None:
    server = scripted(good)
    ports = served(session, server)
    for kind in ("TYPE41", "TYPE128", "TYPE254", "TYPE0"):
        assert ask(ports, "www.example.org", kind).rcode() == dns.rcode.REFUSED
    assert not server.heard


def test_badvers_is_no_empty_answer(session: Session, scripted: Make) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        answer = dns.message.make_response(query, recursion_available=True)
        answer.use_edns(0)
        answer.set_rcode(dns.rcode.BADVERS)
        return answer.to_wire()

    bad, better = scripted(script), scripted(good)
    ports = served(session, bad, better)
    assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}
    assert ask(served(session, bad), "www.example.net").rcode() == dns.rcode.SERVFAIL


def test_slow_names_take_no_server_away_from_the_others(session: Session, scripted: Make) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes | None:
        slow = query.question[0].name.to_text().lower().startswith("slow")
        return None if slow else good(query, stream)

    inner = scripted(script)
    outer = scripted(lambda query, _: failing(query, dns.rcode.NXDOMAIN))
    ports = served(session, inner, outer)
    with ThreadPoolExecutor(4) as threads:
        slow = [threads.submit(ask, ports, f"slow{number}.example.org") for number in range(12)]
        number = 0
        while not all(each.done() for each in slow):
            number += 1
            assert texts(ask(ports, f"n{number}.example.org")) == {"192.0.2.9"}
    assert number > 3


def test_a_server_that_was_silent_once_still_answers_first(
    session: Session, scripted: Make
) -> None:
    inner = scripted(good)
    outer = scripted(lambda query, _: failing(query, dns.rcode.NXDOMAIN))
    ports = served(session, inner, outer)
    assert texts(ask(ports, "a.example.org")) == {"192.0.2.9"}
    inner.script = mute
    assert ask(ports, "slow.example.org").rcode() == dns.rcode.NXDOMAIN
    inner.script = good
    assert texts(ask(ports, "b.example.org")) == {"192.0.2.9"}


def test_A8_85_an_old_answer_is_better_than_none(session: Session, scripted: Make) -> None:
    server = scripted(lambda query, _: address(query, ttl=1))
    ports = served(session, server)
    for name in ("www.example.org", "other.example.org"):
        assert texts(ask(ports, name)) == {"192.0.2.9"}
    server.script = mute
    replies: list[tuple[float, dns.message.Message]] = []

    def is_over() -> bool:
        replies.append((session.clock.now, asked(ports, "www.example.org")))
        return bool(explanations(replies[-1][1]))

    eventually(is_over, 30, "what is remembered is over")
    began, reply = replies[-1]
    assert 1.75 < session.clock.now - began < forward.TOTAL_S
    assert explanations(reply) == [3]
    assert texts(reply) == {"192.0.2.9"}
    assert reply.answer[0].ttl == 30
    before = server.names.count("www.example.org.")
    for _ in range(20):  # RFC 8767 §5: not tried again for 30 s, nor waited for
        assert explanations(asked(ports, "www.example.org")) == [3]
    eventually(lambda: _states(session) == {"down"}, 30, "the question has had its three tries")
    landed = began + forward.TOTAL_S + 0.5
    eventually(lambda: session.clock.now > landed, 30, "it has come to nothing, and that is known")
    assert explanations(reply := asked(ports, "www.example.org")) == [3]
    assert texts(reply) == {"192.0.2.9"}
    assert server.names.count("www.example.org.") <= before + 3
    heard = len(server.heard)  # nor does anybody wait for a server that is known to be silent
    with session.clock.held(PATIENCE_S / 2):  # the whole of it whoever waits would wait
        assert explanations(asked(ports, "other.example.org")) == [3]
    eventually(lambda: len(server.heard) > heard, 30, "somebody finds out, behind the answer")


def _states(session: Session) -> set[str]:
    session.say(protocol.ListUpstreams(0))
    listed = session.hear()
    assert isinstance(listed, protocol.UpstreamsListed)
    return {each.state for each in listed.rows}


def test_A8_107_nxdomain_beside_silence_is_not_held_back_for_long(
    session: Session, scripted: Make
) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes | None:
        del stream
        is_a = dns.rdatatype.to_text(query.question[0].rdtype) == "A"
        return failing(query, dns.rcode.NXDOMAIN) if is_a else None

    ports = served(session, scripted(script))
    with (
        session.clock.held(0.6),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link,
    ):
        link.settimeout(HANGS_S)
        for kind in ("AAAA", "A"):
            query = dns.message.make_query("none.example.org", kind)
            link.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
        reply = dns.message.from_wire(link.recv(4096))
    assert reply.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
def test_A8_116_an_error_without_its_question_has_the_same_asked_without_edns(
    session: Session, scripted: Make, rcode: int
) -> None:
    def old(query: dns.message.Message, stream: bool) -> bytes:
        if query.edns < 0:
            return good(query, stream)
        return query.id.to_bytes(2, "big") + bytes((0x80, rcode)) + bytes(8)

    ports = served(session, scripted(old))
    with session.clock.held(AT_ONCE_S):
        assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}


@pytest.mark.parametrize("rcode", [dns.rcode.YXDOMAIN, dns.rcode.NOTAUTH, 11])
def test_an_error_that_stubs_do_not_know_is_no_answer(
    session: Session, scripted: Make, rcode: dns.rcode.Rcode
) -> None:
    odd = scripted(lambda query, _: failing(query, dns.rcode.Rcode(rcode)))
    ports = served(session, odd, scripted(good))
    assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}
    assert ask(served(session, odd), "www.example.net").rcode() == dns.rcode.SERVFAIL


def test_a_servers_own_explanation_is_passed_on_and_remembered(
    session: Session, scripted: Make
) -> None:
    def bogus(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        answer = dns.message.from_wire(failing(query, dns.rcode.SERVFAIL))
        answer.use_edns(
            0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "no\nsignature")]
        )
        return answer.to_wire()

    server = scripted(bogus)
    ports = served(session, server)
    for ours in (0, 13):
        reply = asked(ports, "bogus.example.org")
        assert explanations(reply) == [6, ours]
        assert str(reply.extended_errors()[0].text) == "no?signature"
        assert f"{server.server().label} SERVFAIL" in str(reply.extended_errors()[1].text)
    session.say(protocol.Explain("s", dns.name.from_text("bogus.example.org").to_wire() or b"", 1))
    told = session.hear()
    assert isinstance(told, protocol.Explained)
    steps = {each.stage: each.text for each in told.steps}
    assert "6 DNSSEC Bogus: no?signature" in steps["cache"]
    assert "SERVFAIL (6 DNSSEC Bogus: no?signature)" in steps["tried"]


def test_an_explanation_that_comes_with_an_answer_is_passed_on(
    session: Session, scripted: Make
) -> None:
    def old(query: dns.message.Message, stream: bool) -> bytes:
        answer = dns.message.from_wire(good(query, stream))
        answer.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.STALE_ANSWER, "")])
        return answer.to_wire()

    ports = served(session, scripted(old))
    for _ in range(2):
        reply = asked(ports, "www.example.org")
        assert (texts(reply), explanations(reply)) == ({"192.0.2.9"}, [3])


def test_silence_and_an_error_are_told_apart(session: Session, scripted: Make) -> None:
    server = scripted(mute)
    reply = asked(served(session, server), "www.example.org")
    (why,) = reply.extended_errors()
    told = f"no upstream server answered: {server.server().label} timeout"
    assert (why.code, why.text) == (22, told)


def held(gate: threading.Event) -> Reply:
    """A good answer once the gate is open."""

    def waits(query: dns.message.Message, stream: bool) -> bytes:
        gate.wait(HANGS_S)
        return good(query, stream)

    return waits


def test_nothing_from_outside_reaches_a_sandbox_that_became_internal(
    session: Session, scripted: Make
) -> None:
    gate = threading.Event()
    first, second = scripted(held(gate)), scripted(good)
    ports = served(session, first, second)
    query = dns.message.make_query("www.example.org", "A", use_edns=0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        link.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
        eventually(lambda: first.heard, 30, "the question is under way")
        with session.clock.held(AT_ONCE_S):
            session.view("s", ["net"])  # which asks nobody
            assert session.apply(2) == {}
            reply = dns.message.from_wire(link.recv(4096))
        assert (reply.rcode(), explanations(reply)) == (dns.rcode.SERVFAIL, [0])
        assert "no upstream server may be asked" in str(reply.extended_errors()[0].text)
        session.clock.passes(2.0)  # past the first try's time
        link.setblocking(False)
        with pytest.raises(BlockingIOError):
            link.recv(4096)
        gate.set()
        assert not second.heard


def test_what_is_asked_from_inside_goes_on_when_a_sandbox_becomes_internal(
    session: Session, scripted: Make
) -> None:
    gate = threading.Event()
    usual, corp = scripted(good), scripted(held(gate))
    ports = session.serve(inside=2)
    zone = {wire.to_wire("corp.local"): [msgspec.structs.replace(corp.server(), inside=True)]}
    view = protocol.View("s", "v", [], [], {}, [usual.server()], routes=zone)
    session.say(view)
    assert session.apply() == {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        link.sendto(
            dns.message.make_query("srv.corp.local", "A").to_wire(), ("127.0.0.1", ports[0])
        )
        eventually(lambda: corp.heard, 30, "the question is under way")
        session.say(msgspec.structs.replace(view, upstreams=[]))
        assert session.apply(2) == {}
        gate.set()
        assert texts(dns.message.from_wire(link.recv(4096))) == {"192.0.2.9"}

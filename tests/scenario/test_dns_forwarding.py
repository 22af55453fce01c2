"""Forwarding through a real worker: odd, silent, dead and hostile upstream servers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from resolver import protocol
from tests.scenario.worker import HANGS_S, Session, Upstream, ask, over_udp
from tests.support import eventually

SOON_S = 0.5  # of the worker: less than any try takes
Reply = Callable[[dns.message.Message, bool], bytes | None]


class Scripted(Upstream):
    """Replies by a function, which a test may replace while it runs."""

    def __init__(self, script: Reply) -> None:
        self.script = script
        super().__init__()

    def reply(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        return self.script(query, stream)

    def server(self) -> protocol.Upstream:
        return protocol.Upstream("127.0.0.1", self.port, inside=False)


def address(query: dns.message.Message, ttl: int = 300, text: str = "192.0.2.9") -> bytes:
    answer = dns.message.make_response(query, recursion_available=True)
    name = query.question[0].name
    answer.answer.append(dns.rrset.from_text(name, ttl, "IN", "A", text))
    return answer.to_wire()


def failing(query: dns.message.Message, rcode: dns.rcode.Rcode) -> bytes:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(rcode)
    return answer.to_wire()


def good(query: dns.message.Message, stream: bool) -> bytes:
    del stream
    return address(query)


def mute(query: dns.message.Message, stream: bool) -> None:
    del query, stream


@pytest.fixture
def scripted() -> Iterator[Callable[[Reply], Scripted]]:
    made: list[Scripted] = []

    def make(script: Reply) -> Scripted:
        made.append(Scripted(script))
        return made[-1]

    yield make
    for each in made:
        each.close()


Make = Callable[[Reply], Scripted]


def served(session: Session, *upstreams: Scripted) -> tuple[int, int]:
    ports = session.serve(names={}, upstreams=[each.server() for each in upstreams])
    assert session.apply() == {}
    return ports


def texts(reply: dns.message.Message) -> set[str]:
    return {item.to_text() for rrset in reply.answer for item in rrset}


def asked(ports: tuple[int, int], name: str) -> dns.message.Message:
    """One question with EDNS, so that the reply can explain itself."""
    query = dns.message.make_query(name, "A", use_edns=0)
    return over_udp(query, ports)


def explanations(reply: dns.message.Message) -> list[int]:
    return [int(each.code) for each in reply.extended_errors()]


@pytest.mark.parametrize(
    "rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR]
)
def test_C5_an_error_sends_the_question_to_the_next_server(
    session: Session, scripted: Make, rcode: dns.rcode.Rcode
) -> None:
    bad, better = scripted(lambda query, _: failing(query, rcode)), scripted(good)
    ports = served(session, bad, better)
    assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}
    assert len(better.heard) == 1


def test_F8_nxdomain_is_final(session: Session, scripted: Make) -> None:
    first = scripted(lambda query, _: failing(query, dns.rcode.NXDOMAIN))
    second = scripted(good)
    ports = served(session, first, second)
    assert ask(ports, "www.example.org").rcode() == dns.rcode.NXDOMAIN
    assert not second.heard


def test_refused_by_all_is_servfail_for_the_stub(session: Session, scripted: Make) -> None:
    refuses = scripted(lambda query, _: failing(query, dns.rcode.REFUSED))
    ports = served(session, refuses)
    reply = asked(ports, "www.example.org")
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert explanations(reply) == [0]
    assert f"{refuses.server().label} REFUSED" in str(reply.extended_errors()[0].text)


def test_C7_an_oversized_reply_without_edns_arrives_cut(session: Session, scripted: Make) -> None:
    def many(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        answer = dns.message.make_response(query)
        name = query.question[0].name
        items = [f"192.0.2.{n}" for n in range(150)]
        answer.answer.append(dns.rrset.from_text_list(name, 60, "IN", "A", items))
        return answer.to_wire(max_size=65535)

    ports = served(session, scripted(many))
    short = ask(ports, "www.example.org")
    assert short.flags & dns.flags.TC
    assert 20 < len(texts(short)) < 150
    assert len(texts(ask(ports, "www.example.org", tcp=True))) == 150


def test_A8_53_a_server_that_forgets_case_is_asked_over_tcp_and_then_plainly(
    session: Session, scripted: Make
) -> None:
    def lower(query: dns.message.Message, stream: bool) -> bytes:
        wired = bytearray(good(query, stream))
        end = 12 + len(query.question[0].name.to_wire() or b"")
        wired[12:end] = wired[12:end].lower()
        return bytes(wired)

    forgets = scripted(lower)
    ports = served(session, forgets)
    for number in range(8):
        assert texts(ask(ports, f"a-long-name-with-many-letters-{number}.example.org"))
    transports = [transport for transport, _ in forgets.heard]
    assert transports.count("tcp") == 3
    assert transports.count("udp") == 8
    (line,) = session.notes()  # once, however often it is asked
    assert line.startswith(f"upstream {forgets.server().label} does not keep the case of letters")
    assert session.notes() == []


def test_A8_116_a_server_without_edns_is_asked_without(session: Session, scripted: Make) -> None:
    def old(query: dns.message.Message, stream: bool) -> bytes:
        return failing(query, dns.rcode.FORMERR) if query.edns >= 0 else good(query, stream)

    server = scripted(old)
    ports = served(session, server)
    for number in range(3):
        assert texts(ask(ports, f"n{number}.example.org")) == {"192.0.2.9"}
    assert len(server.heard) == 4


def test_A8_46_a_broken_reply_is_never_passed_on(session: Session, scripted: Make) -> None:
    broken, better = scripted(lambda query, _: address(query)[:-1]), scripted(good)
    ports = served(session, broken, better)
    assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}
    assert len(better.heard) == 1


def test_A8_52_a_reply_with_another_id_is_not_believed(session: Session, scripted: Make) -> None:
    server = scripted(mute)

    def twice(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        forged = address(query, text="6.6.6.6")
        port = server.heard[-1][1]
        server.udp.sendto(bytes((forged[0] ^ 1,)) + forged[1:], ("127.0.0.1", port))
        return address(query)

    server.script = twice
    ports = served(session, server)
    assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}


def test_A8_55_equal_questions_are_one_question_upstream(session: Session, scripted: Make) -> None:
    gate = threading.Event()

    def waits(query: dns.message.Message, stream: bool) -> bytes:
        gate.wait(HANGS_S)
        return good(query, stream)

    server = scripted(waits)
    ports = served(session, server)
    with session.clock.held(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        queries = [dns.message.make_query("www.example.org", "A") for _ in range(100)]
        for number, query in enumerate(queries):
            query.id = number
            link.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
        eventually(lambda: server.heard, HANGS_S, "the question is under way")
        gate.set()
        replies = [dns.message.from_wire(link.recv(4096)) for _ in queries]
    assert {each.id for each in replies} == set(range(100))
    assert all(texts(each) == {"192.0.2.9"} for each in replies)
    assert len(server.heard) == 1


def test_X5_two_of_three_silent_servers_cost_only_the_first_question(
    session: Session, scripted: Make
) -> None:
    ports = served(session, scripted(mute), scripted(mute), scripted(good))
    assert texts(asked(ports, "first.example.org")) == {"192.0.2.9"}
    for number in range(40):
        with session.clock.held(SOON_S):  # what is asked for is 0.05 s, of a benchmark
            assert texts(asked(ports, f"n{number}.example.org")) == {"192.0.2.9"}


def test_A8_83_a_server_that_comes_back_is_found_out_without_waiting(
    session: Session, scripted: Make
) -> None:
    first, second = scripted(mute), scripted(good)
    ports = served(session, first, second)
    ask(ports, "n0.example.org")
    first.script = good

    def is_first_alone() -> bool:
        before = len(second.heard)
        for _ in range(3):
            assert texts(ask(ports, f"m{time.monotonic_ns()}.example.org")) == {"192.0.2.9"}
        return len(second.heard) == before

    eventually(is_first_alone, 30, "the second is asked no more")
    assert len(first.heard) > 1


def test_A8_82_a_failure_is_remembered_for_a_moment(session: Session, scripted: Make) -> None:
    server = scripted(lambda query, _: failing(query, dns.rcode.SERVFAIL))
    ports = served(session, server)
    for expected in ([0], [13], [13]):
        reply = asked(ports, "www.example.org")
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert explanations(reply) == expected
    assert len(server.heard) == 1


def test_A8_25_without_an_upstream_the_reply_says_so(session: Session) -> None:
    ports = session.serve(names={})
    session.apply()
    reply = asked(ports, "www.example.org")
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert "no upstream" in str(reply.extended_errors()[0].text)


def test_a_name_that_is_not_forwarded_for_its_use_says_what_changes_that(
    session: Session, scripted: Make
) -> None:
    server = scripted(good)
    ports = served(session, server)
    reply = asked(ports, "srv.corp.local")
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert "dns-forward-zones" in str(reply.extended_errors()[0].text)
    name = dns.name.from_text("srv.corp.local").to_wire() or b""
    session.say(protocol.Explain("s", name, 1))
    told = session.hear()
    assert isinstance(told, protocol.Explained)
    assert "dns-forward-zones" in told.steps[-1][1]
    assert not server.heard


def test_A8_58_a_ttl_only_counts_down(session: Session, scripted: Make) -> None:
    server = scripted(lambda query, _: address(query, ttl=100))
    ports = served(session, server)
    seen: list[int] = []
    deadline = time.monotonic() + HANGS_S
    while not seen or seen[-1] > 97:
        seen.append(ask(ports, "www.example.org").answer[0].ttl)
        assert time.monotonic() < deadline
    assert seen == sorted(seen, reverse=True)
    assert len(server.heard) == 1


def test_A8_58_a_ttl_counts_down_while_nobody_asks(session: Session, scripted: Make) -> None:
    server = scripted(lambda query, _: address(query, ttl=100))
    ports = served(session, server)
    for _ in range(2):  # the second is kept as it was given
        ask(ports, "www.example.org")
    session.clock.passes(2.1)  # nobody asks
    assert ask(ports, "www.example.org").answer[0].ttl <= 98
    assert len(server.heard) == 1


def test_A8_56_what_an_upstream_says_beside_the_answer_is_not_kept(
    session: Session, scripted: Make
) -> None:
    def poison(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        answer = dns.message.from_wire(address(query))
        answer.additional.append(dns.rrset.from_text("bank.example.", 999, "IN", "A", "6.6.6.6"))
        answer.authority.append(dns.rrset.from_text("example.", 999, "IN", "NS", "evil.example."))
        return answer.to_wire()

    ports = served(session, scripted(poison))
    reply = ask(ports, "www.example.org")
    assert not reply.authority
    assert not reply.additional


def test_A8_107_nxdomain_beside_an_address_is_no_such_type(
    session: Session, scripted: Make
) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        has = dns.rdatatype.to_text(query.question[0].rdtype) == "A"
        return address(query) if has else failing(query, dns.rcode.NXDOMAIN)

    ports = served(session, scripted(script))
    with session.clock.held(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        for kind in ("A", "AAAA"):  # in this order, as every stub does
            query = dns.message.make_query("half.example.org", kind)
            link.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
        replies = [dns.message.from_wire(link.recv(4096)) for _ in range(2)]
    assert {each.rcode() for each in replies} == {dns.rcode.NOERROR}
    assert sorted(len(each.answer) for each in replies) == [0, 1]


def test_A8_107_nxdomain_for_both_families_stays_and_comes_at_once(
    session: Session, scripted: Make
) -> None:
    ports = served(session, scripted(lambda query, _: failing(query, dns.rcode.NXDOMAIN)))
    with session.clock.held(SOON_S), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        for kind in ("A", "AAAA"):
            query = dns.message.make_query("none.example.org", kind)
            link.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
        replies = [dns.message.from_wire(link.recv(4096)) for _ in range(2)]
    assert {each.rcode() for each in replies} == {dns.rcode.NXDOMAIN}


@pytest.mark.parametrize(("lacks", "has"), [("AAAA", "A"), ("A", "AAAA")])
def test_A8_107_a_remembered_nxdomain_beside_an_address_is_no_such_type(
    session: Session, scripted: Make, lacks: str, has: str
) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        if dns.rdatatype.to_text(query.question[0].rdtype) == lacks:
            answer = dns.message.from_wire(failing(query, dns.rcode.NXDOMAIN))
            answer.authority.append(dns.rrset.from_text("example.org.", 60, "IN", "SOA", SOA))
            return answer.to_wire()
        answer = dns.message.make_response(query, recursion_available=True)
        text = "192.0.2.9" if has == "A" else "2001:db8::9"
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", has, text))
        return answer.to_wire()

    server = scripted(script)
    ports = served(session, server)
    assert ask(ports, "half.example.org", lacks).rcode() == dns.rcode.NXDOMAIN  # by itself
    for _ in range(2):  # a stub asks for A first
        replies = [ask(ports, "half.example.org", kind) for kind in ("A", "AAAA")]
        assert {each.rcode() for each in replies} == {dns.rcode.NOERROR}
        assert sorted(len(each.answer) for each in replies) == [0, 1]
    assert len(server.heard) == 2


SOA = "ns.example.org. who.example.org. 1 2 3 4 60"

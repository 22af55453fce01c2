"""Upstream servers that fall silent, are slow, or come back; and what was kept of their answers."""

import threading
import time

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from tests.scenario.test_dns_claims import OUT, leading
from tests.scenario.test_dns_forwarding import (
    Make,
    Scripted,
    address,
    asked,
    good,
    mute,
    scripted,
    served,
    texts,
)
from tests.scenario.worker import HANGS_S, Session, ask
from tests.standing import Seen
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's


def later(clock: Seen, seconds: float, *servers: Scripted) -> threading.Thread:
    """After so long, of `clock`, the servers answer."""

    def heal() -> None:
        clock.passes(seconds)
        for each in servers:
            each.script = good

    thread = threading.Thread(target=heal)
    thread.start()
    return thread


def test_X5_servers_that_were_heard_and_fall_silent_cost_only_the_first_question(
    session: Session, scripted: Make
) -> None:
    servers = [scripted(good) for _ in range(3)]
    for each in servers:  # so that each was heard
        assert texts(ask(served(session, each), "first.example.org"))
    ports = served(session, *servers)
    for each in servers[:2]:
        each.script = mute
    assert texts(asked(ports, "second.example.org")) == {"192.0.2.9"}
    for number in range(20):
        with session.clock.held(0.5):  # what is asked for is 0.05 s, of a benchmark
            assert texts(asked(ports, f"n{number}.example.org")) == {"192.0.2.9"}


def test_an_outage_shorter_than_a_question_is_waited_for(session: Session, scripted: Make) -> None:
    servers = [scripted(mute), scripted(mute)]
    ports = served(session, *servers)
    assert not asked(ports, "first.example.org").answer  # now both are doubtful
    began = session.clock.now
    with session.clock.held(3.0):
        healing = later(session.clock, 1.0, *servers)
        assert texts(asked(ports, "second.example.org")) == {"192.0.2.9"}
    assert session.clock.now - began > 0.9
    # And what failed meanwhile is no longer taken for unanswerable.
    assert texts(asked(ports, "first.example.org")) == {"192.0.2.9"}
    healing.join()


def test_a_server_that_takes_longer_than_a_try_is_heard(session: Session, scripted: Make) -> None:
    def slow(query: dns.message.Message, stream: bool) -> bytes:
        eventually(lambda: session.clock.now > begun + 2.0, HANGS_S, "it has taken its time")
        return good(query, stream)

    server = scripted(slow)
    ports = served(session, server)
    begun = session.clock.now
    assert texts(asked(ports, "www.example.org")) == {"192.0.2.9"}
    assert session.clock.now - begun > 1.9
    assert texts(asked(ports, "www.example.org")) == {"192.0.2.9"}  # and remembered


def test_N10_a_remembered_set_begins_with_another_address(session: Session, scripted: Make) -> None:
    def many(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        answer = dns.message.make_response(query, recursion_available=True)
        items = [f"192.0.2.{n}" for n in range(1, 5)]
        name = query.question[0].name
        answer.answer.append(dns.rrset.from_text_list(name, 300, "IN", "A", items))
        return answer.to_wire()

    server = scripted(many)
    ports = served(session, server)
    firsts: set[str] = set()
    deadline = time.monotonic() + HANGS_S
    while len(firsts) < 4:  # what is kept ready turns once a second
        firsts.add(ask(ports, "www.example.org").answer[0][0].to_text())
        assert time.monotonic() < deadline
    assert len(server.heard) == 1


@pytest.mark.parametrize("name", ["www.example.org", "a.example"])
def test_A8_107_a_denial_is_kept_ready_no_longer_than_that_of_the_other_family(
    session: Session, scripted: Make, name: str
) -> None:
    """A is denied for a second, AAAA for long and given from memory; then A is there.

    `a.example` leads to `go`, which is ours and leads on to `b.example`.
    """
    is_there = False

    def script(query: dns.message.Message, stream: bool) -> bytes:
        is_four = query.question[0].rdtype == dns.rdatatype.A
        if query.question[0].name == dns.name.from_text("a.example"):
            return leading(a="go.")(query, stream)
        if is_four and is_there:
            return address(query)
        answer = dns.message.make_response(query, recursion_available=True)
        answer.set_rcode(dns.rcode.NXDOMAIN)
        ttl = 1 if is_four else 300
        soa = f"ns.test. root.test. 1 3600 600 86400 {ttl}"
        answer.authority.append(dns.rrset.from_text("org.", ttl, "IN", "SOA", soa))
        return answer.to_wire()

    ports = session.serve(names=OUT, upstreams=[scripted(script).server()])
    assert session.apply() == {}
    with session.clock.held(0.9):  # the denial of A is nearly over
        for kind in ("A", "AAAA"):
            assert ask(ports, name, kind).rcode() == dns.rcode.NXDOMAIN
        is_there = True
        session.clock.passes(0.5)
        assert ask(ports, name, "AAAA").rcode() == dns.rcode.NXDOMAIN
    session.clock.passes(0.7)  # it is over
    assert ask(ports, name).rcode() == dns.rcode.NOERROR
    assert ask(ports, name, "AAAA").rcode() == dns.rcode.NOERROR

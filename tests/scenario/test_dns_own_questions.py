"""Askers choose names; whether a server is there, what it says to a question of ours decides."""

import contextlib
import itertools
import threading
import time

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import msgspec
import pytest

from resolver import protocol
from resolver.upstream import forward
from tests.scenario.certificates import Certificates
from tests.scenario.goaway import Goaway
from tests.scenario.test_dns_forwarding import (
    Make,
    Reply,
    Scripted,
    asked,
    good,
    mute,
    scripted,
    served,
    texts,
)
from tests.scenario.test_dns_transports import server, trusted
from tests.scenario.worker import HANGS_S, Session, ask, over_udp
from tests.standing import Seen
from tests.support import eventually

__all__ = ["scripted", "trusted"]  # fixtures of the neighbours'


def denied(query: dns.message.Message, stream: bool) -> bytes:
    """A public server, which knows no names of the house, and says so for long."""
    del stream
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(dns.rcode.NXDOMAIN)
    soa = "ns.test. root.test. 1 3600 600 86400 300"
    answer.authority.append(dns.rrset.from_text(".", 300, "IN", "SOA", soa))
    return answer.to_wire()


def silent_of(word: str) -> Reply:
    """A server that leaves names unanswered that begin with `word`: their own servers are gone."""

    def script(query: dns.message.Message, stream: bool) -> bytes | None:
        slow = query.question[0].name.to_text().lower().startswith(word)
        return None if slow else good(query, stream)

    return script


def rows(session: Session) -> dict[int, protocol.UpstreamRow]:
    """What is known of the upstreams, by port."""
    session.say(protocol.ListUpstreams(0))
    listed = session.hear()
    assert isinstance(listed, protocol.UpstreamsListed)
    return {each.port: each for each in listed.rows}


SOON_S = 0.5  # of the worker: less than any try takes
NUMBERS = itertools.count()


def is_soon(session: Session, ports: tuple[int, int], seconds: float) -> bool:
    """Whether a new question has an answer within so many seconds of the worker."""
    query = dns.message.make_query(f"new{next(NUMBERS)}.org", "A")
    with session.clock.held(seconds), contextlib.suppress(TimeoutError):
        over_udp(query, ports, 20)
        return True
    return False


def test_slow_names_of_one_sandbox_put_no_server_down_for_others(
    session: Session, scripted: Make
) -> None:
    inner, outer = scripted(silent_of("slow")), scripted(denied)
    one = served(session, inner, outer)
    other = session.serve("other", names={}, upstreams=[inner.server(), outer.server()])
    assert session.apply() == {}
    for number in range(5):
        assert ask(one, f"slow{number}.example").rcode() == dns.rcode.NXDOMAIN
        row = rows(session)[inner.port]
        assert (row.state, row.silent) == ("up", 0)
    for number in range(3):
        assert texts(ask(other, f"c{number}.int.test")) == {"192.0.2.9"}


def test_many_slow_names_at_once_put_no_server_down(session: Session, scripted: Make) -> None:
    inner, outer = scripted(silent_of("slow")), scripted(denied)
    ports = served(session, inner, outer)
    ended = threading.Event()

    def on_and_on(first: int) -> None:
        for number in range(first, first + 1000, 10):
            if ended.is_set():
                return
            ask(ports, f"slow{number}.example")

    threads = [threading.Thread(target=on_and_on, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    deadline, number = time.monotonic() + 6, 0
    try:
        while time.monotonic() < deadline:
            number += 1
            assert texts(ask(ports, f"c{number}.int.test")) == {"192.0.2.9"}
    finally:
        ended.set()
        for each in threads:
            each.join()


def test_a_server_that_is_gone_is_left_alone(session: Session, scripted: Make) -> None:
    gone = scripted(mute)
    ports = served(session, gone, scripted(good))
    began = session.clock.now
    assert asked(ports, "first.example.org").answer
    assert session.clock.now - began > 1.0
    for number in range(20):
        with session.clock.held(SOON_S):  # nobody waits for a try of it
            assert asked(ports, f"n{number}.example.org").answer
    eventually(
        lambda: is_soon(session, ports, SOON_S) and rows(session)[gone.port].state == "down",
        HANGS_S,
        "it was silent three times",
    )


def test_a_no_beside_a_silent_server_is_soon_asked_again(session: Session, scripted: Make) -> None:
    inner, outer = scripted(mute), scripted(denied)
    ports = served(session, inner, outer)
    assert ask(ports, "c.int.test").rcode() == dns.rcode.NXDOMAIN
    inner.script = good
    eventually(
        lambda: texts(ask(ports, "c.int.test")) == {"192.0.2.9"},
        30,
        "the server that knows it is asked again",
    )


def test_rfc_9520_a_name_left_unanswered_is_remembered_while_others_are_answered(
    session: Session, scripted: Make
) -> None:
    picky = scripted(silent_of("slow"))
    ports = served(session, picky)
    assert asked(ports, "slow.example.org").rcode() == dns.rcode.SERVFAIL
    before = len(picky.heard)
    assert texts(ask(ports, "other.example.org")) == {"192.0.2.9"}
    with session.clock.held():
        assert asked(ports, "slow.example.org").rcode() == dns.rcode.SERVFAIL
    assert len(picky.heard) == before + 1


def test_rfc_9520_a_failure_is_over_when_silent_servers_are_heard_but_no_sooner_than_a_second(
    session: Session, scripted: Make
) -> None:
    gone = scripted(mute)
    ports = served(session, gone)
    with session.clock.held(forward.TOTAL_S + 0.8):
        assert asked(ports, "first.example.org").rcode() == dns.rcode.SERVFAIL
        gone.script = good
        assert texts(ask(ports, "other.example.org")) == {"192.0.2.9"}
        assert asked(ports, "first.example.org").rcode() == dns.rcode.SERVFAIL
    with session.clock.held(3.0):
        eventually(lambda: asked(ports, "first.example.org").answer, HANGS_S, "it is over")


class Closing(Scripted):
    """Takes connections and questions and ends them without a word, `after_s` of `clock` later."""

    def __init__(self, script: Reply, clock: Seen, after_s: float = 0.0) -> None:
        self.clock, self.after_s = clock, after_s
        super().__init__(script)

    def reply(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        self.clock.passes(self.after_s)
        return super().reply(query, stream=stream)

    def server(self) -> protocol.Upstream:
        return msgspec.structs.replace(super().server(), transport="tcp")


@pytest.mark.parametrize("after_s", [0.0, 0.6])
def test_a_server_that_ends_connections_without_an_answer_is_left_alone(
    session: Session, scripted: Make, after_s: float
) -> None:
    closing, second = Closing(mute, session.clock, after_s), scripted(good)
    try:
        ports = served(session, closing, second)
        eventually(
            lambda: (
                asked(ports, f"new{next(NUMBERS)}.org")
                and rows(session)[closing.port].state == "down"
            ),
            HANGS_S,
            "three questions of ours had no answer",
        )
        # Its connections are served one after the other.
        assert rows(session)[closing.port].error == ("timeout" if after_s else "closed")
        eventually(lambda: is_soon(session, ports, 0.3), HANGS_S, "it is asked last")
    finally:
        closing.close()


def test_a_server_that_declines_each_question_is_left_alone(
    session: Session, scripted: Make, trusted: Certificates
) -> None:
    with Goaway(trusted, most=1, delay_s=0.4, status="502") as ends:
        ports = session.serve(
            names={}, upstreams=[server("https", ends.port, trusted), scripted(good).server()]
        )
        assert session.apply() == {}
        eventually(
            lambda: (
                asked(ports, f"new{next(NUMBERS)}.org") and rows(session)[ends.port].state == "down"
            ),
            HANGS_S,
            "three questions of ours were declined",
        )
        assert rows(session)[ends.port].error == "declined"
        eventually(lambda: is_soon(session, ports, 0.3), HANGS_S, "it is asked last")


def test_a_connection_ended_for_one_name_speaks_not_against_the_server(
    session: Session, scripted: Make
) -> None:
    picky, second = Closing(silent_of("bad"), session.clock), scripted(denied)
    try:
        ports = served(session, picky, second)
        for number in range(6):
            assert ask(ports, f"bad{number}.org").rcode() == dns.rcode.NXDOMAIN
            assert texts(ask(ports, f"c{number}.int.test")) == {"192.0.2.9"}
        row = rows(session)[picky.port]
        assert (row.state, row.silent) == ("up", 0)
    finally:
        picky.close()

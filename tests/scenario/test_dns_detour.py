"""Names of ours with a search domain behind them, while the upstream servers fail.

A8-112: whoever asks `web.corp.test` first gets to `web`, whatever becomes of the former.
"""

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from resolver import protocol
from resolver.message import wire
from tests.scenario.test_dns_forwarding import (
    Make,
    Scripted,
    address,
    asked,
    explanations,
    failing,
    good,
    mute,
    scripted,
    texts,
)
from tests.scenario.worker import Session, over_tcp, over_udp
from tests.scenario.worker import address as records

__all__ = ["scripted"]  # a fixture of the neighbour's

NAMES: protocol.Names = {
    wire.to_wire("web"): {wire.A: records(wire.A, "10.1.0.2")},
    wire.to_wire("web.lab"): {wire.A: records(wire.A, "10.1.0.2")},
    wire.to_wire("alias.lab"): {wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire("web.lab"))]},
    wire.to_wire("go"): {
        wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire("web.corp.test"))],
    },
    **{
        wire.to_wire(name): {wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire(target))]}
        for name, target in (("away", "far.other.test"), ("ring", "gnir"), ("gnir", "ring"))
    },
}
SOON_S = 0.5  # of the worker: nobody waits for a whole try
FOUND, PASSED, FAILED = dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL


def searching(session: Session, ndots: int, *upstreams: Scripted) -> tuple[int, int]:
    """A sandbox with `search corp.test` and `ndots`."""
    ports = session.serve(names=NAMES)
    view = protocol.View(
        sandbox="s",
        digest="v",
        tables=["net"],
        suffixes=[wire.to_wire("lab")],
        own={},
        upstreams=[each.server() for each in upstreams],
        network="net",
        search=[wire.to_wire("corp.test")],
        ndots=ndots,
    )
    session.say(view)
    assert session.apply() == {}
    return ports


def told(
    ports: tuple[int, int], name: str, kind: str = "A", *, tcp: bool = False
) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=0)
    return (over_tcp if tcp else over_udp)(query, ports)


def test_A8_112_a_silent_server_is_waited_for_once(session: Session, scripted: Make) -> None:
    ports = searching(session, 1, scripted(mute))
    began = session.clock.now
    with session.clock.held(3.0):
        first = told(ports, "web.corp.test")
    assert (first.rcode(), first.answer, first.authority) == (PASSED, [], [])
    assert explanations(first) == [22, 0]
    assert "web is ours" in str(first.extended_errors()[1].text)
    assert session.clock.now - began > 1.0  # nobody knew that it is silent
    for kind in ("AAAA", "TXT", "MX"):
        with session.clock.held(SOON_S):
            assert told(ports, "web.corp.test", kind).rcode() == PASSED


@pytest.mark.parametrize("pause_s", [0.0, 0.7])
def test_A8_112_whoever_answers_in_time_is_heard(
    session: Session, scripted: Make, pause_s: float
) -> None:
    """Also a server that takes longer than a doubtful one is waited for."""

    def slow(query: dns.message.Message, stream: bool) -> bytes:
        session.clock.passes(pause_s)
        return good(query, stream)

    ports = searching(session, 1, scripted(slow))
    assert texts(asked(ports, "web.corp.test")) == {"192.0.2.9"}


def test_A8_112_a_server_that_comes_back_is_heard_at_the_first_question(
    session: Session, scripted: Make
) -> None:
    server = scripted(mute)
    ports = searching(session, 1, server)
    assert asked(ports, "web.corp.test").rcode() == PASSED
    server.script = good
    with session.clock.held():  # it is quick enough
        reply = told(ports, "web.corp.test", "MX")
    assert (reply.rcode(), len(reply.answer)) == (dns.rcode.NOERROR, 1)


def test_A8_112_what_is_not_ours_or_asked_as_it_is_first_fails_as_ever(
    session: Session, scripted: Make
) -> None:
    ports = searching(session, 1, scripted(lambda query, _: failing(query, FAILED)))
    rcodes = {
        name: asked(ports, name).rcode()
        for name in ("web.corp.test", "else.corp.test", "web.lab.corp.test", "web.other.test")
    }
    wanted = dict.fromkeys(rcodes, FAILED) | {"web.corp.test": PASSED}
    assert rcodes == wanted
    again = asked(ports, "web.corp.test")  # from the cache
    assert (again.rcode(), explanations(again)) == (PASSED, [13, 0])


def test_A8_112_with_ndots_2_names_with_their_network_count(
    session: Session, scripted: Make
) -> None:
    ports = searching(session, 2, scripted(lambda query, _: failing(query, FAILED)))
    for name in ("web.corp.test", "WEB.lab.Corp.test"):
        assert asked(ports, name).rcode() == PASSED


def test_A8_112_where_nobody_may_be_asked(session: Session) -> None:
    ports = searching(session, 1)
    assert asked(ports, "web.corp.test").rcode() == PASSED
    assert asked(ports, "else.corp.test").rcode() == FAILED
    assert "comes after" in str(asked(ports, "web.corp.test").extended_errors()[1].text)


def test_A8_112_a_name_that_is_there_for_one_family_is_not_denied_for_the_other(
    session: Session, scripted: Make
) -> None:
    def half(query: dns.message.Message, _: bool) -> bytes:
        is_four = query.question[0].rdtype == dns.rdatatype.A
        return address(query) if is_four else failing(query, FAILED)

    ports = searching(session, 1, scripted(half))
    assert texts(asked(ports, "web.corp.test")) == {"192.0.2.9"}
    reply = told(ports, "web.corp.test", "AAAA")
    assert reply.rcode() == FAILED


@pytest.mark.parametrize("name", ["away", "ring"])
def test_A8_112_what_fails_behind_an_alias_of_theirs_is_passed_over_too(
    session: Session, scripted: Make, name: str
) -> None:
    """It leads to a name of ours that leads out to nobody's, or to itself."""

    def script(query: dns.message.Message, _: bool) -> bytes:
        if query.question[0].name != dns.name.from_text("web.corp.test"):
            return failing(query, FAILED)
        answer = dns.message.make_response(query, recursion_available=True)
        answer.answer.append(dns.rrset.from_text("web.corp.test.", 60, "IN", "CNAME", f"{name}."))
        return answer.to_wire()

    ports = searching(session, 1, scripted(script))
    for _ in range(2):
        reply = asked(ports, "web.corp.test")
        assert (reply.rcode(), reply.answer) == (PASSED, [])
        assert "web is ours" in str(reply.extended_errors()[-1].text)


def test_an_alias_of_ours_to_such_a_name_fails_with_it(session: Session, scripted: Make) -> None:
    """Nothing comes after `go` in a search list."""
    ports = searching(session, 1, scripted(lambda query, _: failing(query, FAILED)))
    for _ in range(2):
        assert asked(ports, "go").rcode() == FAILED


@pytest.mark.parametrize("tcp", [False, True])
def test_A8_112_who_was_told_of_a_name_of_ours_is_not_sent_on(
    session: Session, scripted: Make, tcp: bool
) -> None:
    """glibc with ndots:0, `getent hosts web`: no IPv6, so it tries the search list.

    Over TCP with `options use-vc`.
    """
    server = scripted(good)
    ports = searching(session, 0, server)
    with session.clock.held():  # for a second
        for _ in range(3):
            assert told(ports, "web", "AAAA", tcp=tcp).answer == []
        reply = told(ports, "web.corp.test", "AAAA", tcp=tcp)
    assert (reply.rcode(), reply.answer, reply.authority) == (dns.rcode.NOERROR, [], [])
    assert "web is ours and came before it" in str(reply.extended_errors()[0].text)
    assert server.heard == []
    # Names that only a person writes: those of other types, and those asked for both versions.
    assert texts(told(ports, "web.corp.test", tcp=tcp)) == {"192.0.2.9"}
    told(ports, "web.corp.test", "AAAA", tcp=tcp)
    assert len(server.heard) == 2


@pytest.mark.parametrize("tcp", [False, True])
def test_A8_112_a_longer_name_that_is_asked_later_on_a_quiet_host_is_asked_for(
    session: Session, scripted: Make, tcp: bool
) -> None:
    ports = searching(session, 0, scripted(good))
    for _ in range(2):
        assert told(ports, "web", "AAAA", tcp=tcp).answer == []
    session.clock.passes(1.1)  # the look-up is over
    assert told(ports, "web.corp.test", "AAAA", tcp=tcp).answer


def test_A8_112_who_was_told_by_a_datagram_is_told_over_a_stream_as_well(
    session: Session, scripted: Make
) -> None:
    """A stub that finds its datagrams unanswered goes on over TCP, amid its look-up."""
    server = scripted(good)
    ports = searching(session, 0, server)
    with session.clock.held():  # within a second
        assert told(ports, "web", "AAAA").answer == []
        reply = told(ports, "web.corp.test", "AAAA", tcp=True)
    assert "web is ours and came before it" in str(reply.extended_errors()[0].text)
    assert server.heard == []


def test_A8_112_behind_a_name_of_ours_a_silent_server_is_waited_for_once(
    session: Session, scripted: Make
) -> None:
    ports = searching(session, 0, scripted(mute))
    told(ports, "else.example.org")
    for kind in ("AAAA", "TXT"):
        with session.clock.held(SOON_S):
            reply = told(ports, "web.lab.corp.test", kind)
        assert reply.rcode() == PASSED
        assert "web.lab is ours and came before it" in str(reply.extended_errors()[1].text)


@pytest.mark.parametrize(("name", "rcode"), [("gone.lab", PASSED), ("alias.lab", FOUND)])
def test_A8_112_who_was_told_of_no_such_name_of_ours_is_not_sent_on(
    session: Session, scripted: Make, name: str, rcode: dns.rcode.Rcode
) -> None:
    """A sandbox that was just removed, where others have `*.corp.test`; or an alias without IPv6."""
    server = scripted(good)
    ports = searching(session, 0, server)
    with session.clock.held():  # for a second
        for _ in range(2):  # the second is given as the first was
            assert told(ports, name, "AAAA").rcode() == rcode
        reply = told(ports, f"{name}.corp.test", "AAAA")
    assert (reply.rcode(), reply.answer) == (rcode, [])
    assert reply.authority == []
    assert name in str(reply.extended_errors()[0].text)
    assert server.heard == []
    session.clock.passes(1.1)  # the look-up is over
    assert told(ports, f"{name}.corp.test", "AAAA").answer

"""Why a question failed, and for how long that is said: through a real worker."""

import itertools
from collections.abc import Callable

import dns.message
import dns.rcode
import dns.rrset
import pytest

from resolver import protocol
from resolver.message import wire
from resolver.upstream import cache
from tests.scenario.test_dns_forwarding import (
    Make,
    Reply,
    asked,
    explanations,
    failing,
    good,
    mute,
    scripted,
    served,
    texts,
)
from tests.scenario.worker import HANGS_S, Session, address, over_udp
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's

MANY = 6
NAMES: protocol.Names = {
    wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.2")},
    **{
        wire.to_wire(ours): {wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire(theirs))]}
        for ours, theirs in (
            ("ring", "gnir"),
            ("gnir", "ring"),
            ("out", "www.zone.test"),
            *((f"go{n}", f"n{n + 1}.example") for n in range(MANY)),
        )
    },
}


def leading(leads: Callable[[str], str]) -> Reply:
    """A name is an alias of what `leads` says, or has an address where it says nothing."""

    def script(query: dns.message.Message, stream: bool) -> bytes:
        owner = query.question[0].name
        if not (target := leads(owner.to_text().lower())):
            return good(query, stream)
        answer = dns.message.make_response(query, recursion_available=True)
        answer.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", target))
        return answer.to_wire()

    return script


def why(reply: dns.message.Message) -> str:
    assert (reply.rcode(), reply.answer) == (dns.rcode.SERVFAIL, [])
    return str(reply.extended_errors()[0].text)


def test_aliases_through_too_many_names_of_others_are_told_as_such(
    session: Session, scripted: Make
) -> None:
    server = scripted(leading(lambda name: f"go{name[1]}." if name.startswith("n") else ""))
    ports = session.serve(names=NAMES, upstreams=[server.server()])
    assert session.apply() == {}
    for name in ("n0.example", "n0.example", "go0"):
        assert "more names of others" in why(asked(ports, name))


def test_too_many_aliases_of_one_server_are_told_as_such(session: Session, scripted: Make) -> None:
    names = [f"n{n}.example.org." for n in range(12)]

    def script(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        answer = dns.message.make_response(query, recursion_available=True)
        for one, two in itertools.pairwise(names):
            answer.answer.append(dns.rrset.from_text(one, 60, "IN", "CNAME", two))
        return answer.to_wire()

    server = scripted(script)
    reply = asked(served(session, server), names[0])
    assert f"{server.server().label} too_many_aliases" in why(reply)
    assert explanations(reply) == [0]


@pytest.mark.parametrize("name", ["ring", "www.example.org"])
def test_aliases_of_ours_without_an_end_are_told_as_such(
    session: Session, scripted: Make, name: str
) -> None:
    server = scripted(leading(lambda name: "ring." if name.startswith("www") else ""))
    ports = session.serve(names=NAMES, upstreams=[server.server()])
    assert session.apply() == {}
    for _ in range(2):
        assert "aliases of ours lead in a circle" in why(asked(ports, name))


def test_aliases_that_took_all_the_time_are_told_as_such(session: Session, scripted: Make) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes | None:
        if not query.question[0].name.to_text().lower().startswith("n0"):
            return None
        session.clock.passes(3.5)
        return leading(lambda _: "go0.")(query, stream)

    ports = session.serve(names=NAMES, upstreams=[scripted(script).server()])
    assert session.apply() == {}
    began = session.clock.now
    with session.clock.held(5.0):
        reply = asked(ports, "n0.example")
    assert "took all the time" in why(reply)
    assert explanations(reply) == [0]
    assert session.clock.now - began > 4.0


@pytest.mark.parametrize("edns", [-1, 0])
def test_A8_112_what_is_only_too_much_now_is_never_denied(
    session: Session, scripted: Make, edns: int
) -> None:
    """`web.corp.test` leads by a name of ours to a zone for whose server there is no socket."""
    usual = scripted(leading(lambda _: "out."))
    nobody = protocol.Upstream("127.0.0.1", 9, inside=True)
    ports = session.serve(names=NAMES, inside=0)
    session.say(
        protocol.View(
            sandbox="s",
            digest="v",
            tables=["net"],
            suffixes=[],
            own={},
            upstreams=[usual.server()],
            routes={wire.to_wire("zone.test"): [nobody]},
            search=[wire.to_wire("corp.test")],
            ndots=1,
        )
    )
    assert session.apply() == {}
    for _ in range(2):
        query = dns.message.make_query("web.corp.test", "A", use_edns=edns)
        reply = over_udp(query, ports)
        assert (reply.rcode(), reply.edns) == (dns.rcode.SERVFAIL, edns)


def test_a_failure_by_silence_is_over_when_a_server_is_heard(
    session: Session, scripted: Make
) -> None:
    server = scripted(mute)
    ports = served(session, server)
    for _ in range(3):  # asked, from the cache, and from what might be kept as it was given
        assert asked(ports, "www.example.org").rcode() == dns.rcode.SERVFAIL
    server.script = good
    assert texts(asked(ports, "other.example.org")) == {"192.0.2.9"}
    with session.clock.held(cache.FAILURE_S / 2):
        eventually(
            lambda: texts(asked(ports, "www.example.org")) == {"192.0.2.9"},
            HANGS_S,
            "the failure is over: sooner than by itself, and no sooner than RFC 9520 has it",
        )


def test_a_failure_that_a_server_said_is_remembered_all_the_same(
    session: Session, scripted: Make
) -> None:
    server = scripted(lambda query, _: failing(query, dns.rcode.SERVFAIL))
    ports = served(session, server)
    assert asked(ports, "www.example.org").rcode() == dns.rcode.SERVFAIL
    heard = len(server.heard)
    for _ in range(5):
        assert explanations(asked(ports, "www.example.org")) == [13]
    assert len(server.heard) == heard


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "https"])
def test_a_server_to_which_no_way_leads_refuses_nothing(session: Session, transport: str) -> None:
    """The kernel sends no question to all the world, as none from a network without a way out."""
    server = protocol.Upstream("255.255.255.255", 53, False, transport, "dns.test")
    ports = session.serve(names={}, upstreams=[server])
    assert session.apply() == {}
    reply = asked(ports, "www.example.org")
    assert f"{server.label} unreachable: " in why(reply)
    assert explanations(reply) == [23]

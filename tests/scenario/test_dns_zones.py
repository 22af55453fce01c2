"""Zones with servers of their own, through a real worker: aliases that lead into one, and out."""

import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from resolver import protocol
from resolver.message import wire
from tests.scenario import unbound
from tests.scenario.test_dns_forwarding import (
    Make,
    Reply,
    Scripted,
    asked,
    explanations,
    good,
    mute,
    scripted,
    texts,
)
from tests.scenario.worker import HANGS_S, Session, address, ask
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's

NAMES: protocol.Names = {wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.2")}}
INSIDE = 8  # sockets of the sandbox towards servers
CHAIN = ["app.corp.local. CNAME lb.example.net.", "lb.example.net. A 192.0.2.9"]
ZONE = "corp.local"
Leads = Mapping[str, str]


def near(server: Scripted) -> protocol.Upstream:
    return protocol.Upstream("127.0.0.1", server.port, inside=True)


def see(
    session: Session,
    zones: Mapping[str, Scripted],
    *usual: Scripted,
    revision: int = 1,
) -> None:
    """What the sandbox `s` sees from now on; the usual servers are asked from the host."""
    view = protocol.View(
        sandbox="s",
        digest=f"v{revision}",
        tables=["net"],
        suffixes=[],
        own={},
        upstreams=[each.server() for each in usual],
        routes={wire.to_wire(zone): [near(each)] for zone, each in zones.items()},
        network="net",
    )
    session.say(view)
    assert session.apply(revision) == {}


def served(session: Session, zones: Mapping[str, Scripted], *usual: Scripted) -> tuple[int, int]:
    ports = session.serve(names=NAMES, inside=INSIDE)
    see(session, zones, *usual)
    return ports


def leading(leads: Leads, *rest: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> Reply:
    """One who knows his zone alone: of an alias he says where it leads, and nothing of that."""

    def script(query: dns.message.Message, stream: bool) -> bytes:
        name = query.question[0].name
        target = leads.get(name.to_text().lower())
        if target is None:
            return good(query, stream)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", target))
        for owner, kind, text in (each.split() for each in rest):
            answer.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, text))
        if query.question[0].rdtype != dns.rdatatype.CNAME:
            answer.set_rcode(rcode)
        return answer.to_wire()

    return script


OUT = {"app.corp.local.": "lb.example.net."}


def shown(reply: dns.message.Message) -> list[str]:
    return [f"{each.name} {item.rdtype.name} {item}" for each in reply.answer for item in each]


def steps(session: Session, name: str) -> list[tuple[str, str]]:
    session.say(protocol.Explain("s", wire.to_wire(name), wire.A))
    told = session.hear()
    assert isinstance(told, protocol.Explained)
    return [(each.stage, each.text) for each in told.steps]


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, dns.rcode.REFUSED, dns.rcode.SERVFAIL])
def test_out_of_a_zone_whose_server_knows_nothing_else(
    session: Session, scripted: Make, tcp: bool, rcode: dns.rcode.Rcode
) -> None:
    inner, usual = scripted(leading(OUT, rcode=rcode)), scripted(good)
    ports = served(session, {ZONE: inner}, usual)
    for _ in range(3):  # asked, from the cache, and from what is kept as it was given
        reply = ask(ports, "app.corp.local", tcp=tcp)
        assert (reply.rcode(), shown(reply)) == (dns.rcode.NOERROR, CHAIN)
    assert [len(each.heard) for each in (inner, usual)] == [1, 1]
    assert ("cut", "lb.example.net. is asked of other servers") in steps(session, "app.corp.local")
    alias = ask(ports, "app.corp.local", "CNAME", tcp=tcp)
    assert shown(alias) == CHAIN[:1]


AUTHORITY = (
    unbound.ALONE
    + """
  interface: 127.0.0.1@{port}
  local-zone: "corp.local." static
  local-data: "app.corp.local. 60 IN CNAME lb.example.net."
  local-zone: "." refuse
"""
)


def test_out_of_a_zone_of_an_unbound_that_asks_nobody(
    session: Session, scripted: Make, tmp_path: Path
) -> None:
    port, usual = unbound.free_port(), scripted(good)
    zone = protocol.Upstream("127.0.0.1", port, inside=True)
    ports = session.serve(names=NAMES, inside=INSIDE)
    routes = {wire.to_wire(ZONE): [zone]}
    session.say(protocol.View("s", "v", ["net"], [], {}, [usual.server()], routes=routes))
    assert session.apply() == {}
    with unbound.running(AUTHORITY.format(port=port, folder=tmp_path), tmp_path, port):
        assert shown(ask(ports, "app.corp.local")) == CHAIN
        assert ask(ports, "gone.corp.local").rcode() == dns.rcode.NXDOMAIN
    assert len(usual.heard) == 1


@pytest.mark.parametrize("said", [[], ["srv1.corp.local. A 6.6.6.6"]])
def test_into_a_zone_only_its_servers_tell(
    session: Session, scripted: Make, said: list[str]
) -> None:
    usual = scripted(leading({"www.example.net.": "srv1.corp.local."}, *said))
    ports = served(session, {ZONE: scripted(good)}, usual)
    for _ in range(3):
        reply = ask(ports, "www.example.net")
        assert texts(reply) == {"srv1.corp.local.", "192.0.2.9"}
    dropped = ": 1 records about it left out" if said else ""
    wanted = f"srv1.corp.local. is asked of other servers{dropped}"
    assert ("cut", wanted) in steps(session, "www.example.net")


def test_from_zone_to_zone_and_to_a_name_of_ours(session: Session, scripted: Make) -> None:
    one = scripted(leading({"a.one.test.": "b.two.test.", "c.one.test.": "web."}))
    two = scripted(leading({"b.two.test.": "c.one.test."}))
    ports = served(session, {"one.test": one, "two.test": two})
    reply = ask(ports, "a.one.test")
    assert texts(reply) == {"b.two.test.", "c.one.test.", "web.", "10.1.0.2"}


def test_a_circle_of_zones_is_servfail(session: Session, scripted: Make) -> None:
    one, two = (scripted(leading({f"{x}.test.": f"{y}.test."})) for x, y in ("ab", "ba"))
    ports = served(session, {"a.test": one, "b.test": two})
    for _ in range(2):
        reply = asked(ports, "a.test")
        assert (reply.rcode(), reply.answer) == (dns.rcode.SERVFAIL, [])
        assert "lead to each other" in str(reply.extended_errors()[0].text)
    assert [len(each.heard) for each in (one, two)] == [1, 1]


def test_aliases_through_too_many_servers_are_told_as_such(
    session: Session, scripted: Make
) -> None:
    zones = {f"z{n}.test": scripted(leading({f"z{n}.test.": f"z{n + 1}.test."})) for n in range(6)}
    ports = served(session, zones)
    for _ in range(2):
        reply = asked(ports, "z0.test")
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert "more names of others" in str(reply.extended_errors()[0].text)
    assert [len(each.heard) for each in zones.values()] == [1, 1, 1, 1, 0, 0]


def test_A8_22_a_sandbox_without_a_way_out_does_not_follow_outwards(
    session: Session, scripted: Make
) -> None:
    inner = scripted(leading(OUT))
    ports = served(session, {ZONE: inner})
    reply = asked(ports, "app.corp.local")
    assert (reply.rcode(), reply.answer, explanations(reply)) == (dns.rcode.SERVFAIL, [], [14])
    assert "no upstream server is known" in str(reply.extended_errors()[0].text)
    assert len(inner.heard) == 1


def test_A8_22_an_alias_that_comes_when_the_way_out_is_gone_leads_nowhere(
    session: Session, scripted: Make
) -> None:
    gate = threading.Event()

    def waits(query: dns.message.Message, stream: bool) -> bytes | None:
        gate.wait(HANGS_S)
        return leading(OUT)(query, stream)

    inner, usual = scripted(waits), scripted(good)
    ports = served(session, {ZONE: inner}, usual)
    found: list[dns.message.Message] = []
    asker = threading.Thread(target=lambda: found.append(asked(ports, "app.corp.local")))
    asker.start()
    eventually(lambda: bool(inner.heard), 30, "the zone's server is asked")
    see(session, {ZONE: inner}, revision=2)
    gate.set()
    asker.join()
    assert (found[0].rcode(), found[0].answer) == (dns.rcode.SERVFAIL, [])
    assert "no upstream server may be asked" in str(found[0].extended_errors()[0].text)
    assert not usual.heard


def test_A8_22_what_waits_for_its_turn_does_not_leave_either(
    session: Session, scripted: Make
) -> None:
    """As many questions as a sandbox may have, some more, and then the way out is gone."""
    usual = scripted(mute)
    ports = served(session, {}, usual)
    queries = [dns.message.make_query(f"n{n}.example.org", "A") for n in range(270)]
    with (
        session.clock.held(),  # nobody is asked again
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link,
    ):
        for each in queries:
            link.sendto(each.to_wire(), ("127.0.0.1", ports[0]))
        eventually(lambda: len(usual.heard) == 256, HANGS_S, "all places are taken")
        see(session, {}, revision=2)
        assert asked(ports, "last.example.org").rcode() == dns.rcode.SERVFAIL
    session.clock.passes(0.5)  # those that waited had their turn
    assert len(usual.heard) == 256


def test_A8_56_the_way_out_of_a_zone_takes_of_the_same_time(
    session: Session, scripted: Make
) -> None:
    def slow(query: dns.message.Message, stream: bool) -> bytes | None:
        session.clock.passes(3.5)
        return leading(OUT)(query, stream)

    ports = served(session, {ZONE: scripted(slow)}, scripted(mute))
    began = session.clock.now
    with session.clock.held(5.0):
        reply = asked(ports, "app.corp.local")
    assert (reply.rcode(), explanations(reply)) == (dns.rcode.SERVFAIL, [0])
    assert "took all the time" in str(reply.extended_errors()[0].text)
    assert session.clock.now - began > 4.0

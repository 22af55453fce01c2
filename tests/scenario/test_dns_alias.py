"""An alias of ours that leads to somebody else's name, through a real worker."""

from collections.abc import Callable, Iterator

import dns.message
import dns.rcode
import pytest

from resolver import protocol
from resolver.message import reasons, wire
from tests.scenario.test_dns_forwarding import Scripted, address, explanations, failing, good
from tests.scenario.test_dns_zones import steps
from tests.scenario.worker import Session, Worker, over_tcp, over_udp

END = "www.elsewhere.example"
NAMES: protocol.Names = {
    wire.to_wire("go"): {wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire(END))]},
    wire.to_wire("web"): {wire.A: [wire.record(wire.A, 5, bytes((10, 0, 0, 9)))]},
}


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    one = Scripted(good)
    yield one
    one.close()


def served(session: Session, *upstreams: Scripted) -> tuple[int, int]:
    ports = session.serve(names=NAMES, upstreams=[each.server() for each in upstreams])
    assert session.apply() == {}
    return ports


def asked(ports: tuple[int, int], *, tcp: bool = False, kind: str = "A") -> dns.message.Message:
    query = dns.message.make_query("Go", kind, use_edns=0)
    if tcp:
        return over_tcp(query, ports)
    return over_udp(query, ports)


def lines(reply: dns.message.Message) -> list[str]:
    return [line for each in reply.answer for line in each.to_text().split("\n")]


@pytest.mark.parametrize("tcp", [False, True])
def test_the_end_is_asked_of_the_upstream_once_and_then_remembered(
    worker: Worker, upstream: Scripted, tcp: bool
) -> None:
    ports = served(worker.session(), upstream)
    wanted = [f"Go. 5 IN CNAME {END}.", f"{END}. 300 IN A 192.0.2.9"]
    assert lines(asked(ports, tcp=tcp)) == wanted
    for again in (False, True):
        assert lines(asked(ports, tcp=again)) == wanted
    assert len(upstream.heard) == 1
    assert lines(asked(ports, kind="CNAME")) == wanted[:1]
    assert len(upstream.heard) == 1


def test_an_end_that_is_not_there_is_nxdomain_and_one_that_fails_servfail(
    worker: Worker, upstream: Scripted
) -> None:
    upstream.script = lambda query, _: failing(query, dns.rcode.NXDOMAIN)
    ports = served(worker.session(), upstream)
    none = asked(ports)
    assert (none.rcode(), len(none.answer)) == (dns.rcode.NXDOMAIN, 1)
    upstream.script = lambda query, _: failing(query, dns.rcode.SERVFAIL)
    failed = asked(ports, kind="TXT")
    assert (failed.rcode(), failed.answer, explanations(failed)) == (dns.rcode.SERVFAIL, [], [0])


def test_A8_25_without_an_upstream_the_alias_is_servfail_at_once(worker: Worker) -> None:
    failed = asked(served(worker.session()))
    assert (failed.rcode(), failed.answer, explanations(failed)) == (dns.rcode.SERVFAIL, [], [14])


def test_A8_25_in_a_sealed_sandbox_the_end_of_the_alias_is_not_there(worker: Worker) -> None:
    session = worker.session()
    ports = served(session)
    session.view("s", ["net"], sealed=True)
    session.apply(2)
    none = asked(ports)
    assert (none.rcode(), len(none.answer)) == (dns.rcode.NXDOMAIN, 1)
    assert (none.authority, explanations(none)) == ([], [0])


def leading(target: str) -> Callable[[dns.message.Message, bool], bytes]:
    """An upstream's alias to `target`, and what it says of that one."""

    def script(query: dns.message.Message, _: bool) -> bytes:
        reply = dns.message.from_wire(address(query))
        reply.answer = [
            dns.rrset.from_text(f"{END}.", 60, "IN", "CNAME", target),
            dns.rrset.from_text(target, 60, "IN", "A", "6.6.6.6"),
        ]
        return reply.to_wire()

    return script


def test_A8_56_what_the_upstream_says_of_our_names_there_is_told_by_us(
    worker: Worker, upstream: Scripted
) -> None:
    upstream.script = leading("web.")
    ports = served(worker.session(), upstream)
    theirs = [f"Go. 5 IN CNAME {END}.", f"{END}. 60 IN CNAME web."]
    for _ in range(2):
        assert lines(asked(ports)) == [*theirs, "web. 5 IN A 10.0.0.9"]


def test_A8_56_a_circle_through_an_upstream_is_servfail(worker: Worker, upstream: Scripted) -> None:
    upstream.script = leading("go.")
    failed = asked(served(worker.session(), upstream))
    assert (failed.rcode(), failed.answer, explanations(failed)) == (dns.rcode.SERVFAIL, [], [0])


def test_a_circle_is_told_as_it_was_gone_and_where_it_ended(
    worker: Worker, upstream: Scripted
) -> None:
    upstream.script = leading("go.")
    session = worker.session()
    ports = served(session, upstream)
    asked(ports)
    told = steps(session, "go")
    assert len(upstream.heard) == len([text for stage, text in told if stage == "tried"]) == 1
    assert told[-1] == ("cut", f"not followed: {reasons.CIRCLE.text}")

"""Upstream servers that speak of names which are not theirs, through a real worker."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import pytest

from resolver import counters, protocol
from resolver.message import wire
from tests.scenario.test_dns_forwarding import (
    Make,
    asked,
    explanations,
    good,
    scripted,
    served,
    texts,
)
from tests.scenario.worker import Session, Upstream, address, ask, over_udp
from tests.standing import Seen

__all__ = ["scripted"]  # a fixture of the neighbour's

OURS: protocol.Names = {wire.to_wire("web1.front"): {wire.A: address(wire.A, "10.1.0.2")}}


def claiming(query: dns.message.Message, stream: bool) -> bytes:
    """An alias to the name of ours, an address for it, and one of nobody who was asked for."""
    del stream
    answer = dns.message.make_response(query, recursion_available=True)
    name = query.question[0].name
    answer.answer += [
        dns.rrset.from_text("evil.example.", 300, "IN", "A", "6.6.6.7"),
        dns.rrset.from_text(name, 300, "IN", "CNAME", "web1.front."),
        dns.rrset.from_text("web1.front.", 300, "IN", "A", "6.6.6.6"),
    ]
    return answer.to_wire()


@pytest.mark.parametrize("tcp", [False, True])
def test_A8_56_an_alias_to_a_name_of_ours_is_answered_by_us(
    session: Session, scripted: Make, tcp: bool
) -> None:
    server = scripted(claiming)
    ours = session.serve("owns", OURS, [server.server()])
    theirs = session.serve("lacks", None, [server.server()])
    assert session.apply() == {}
    for _ in range(3):  # asked, from the cache, and from what is kept as it was given
        reply = ask(ours, "www.example.org", tcp=tcp)
        assert texts(reply) == {"web1.front.", "10.1.0.2"}
        assert reply.answer[-1].ttl == 5
        assert texts(ask(theirs, "www.example.org", tcp=tcp)) == {"web1.front.", "6.6.6.6"}
    assert len(server.heard) == 1  # what one sandbox owns is nothing of the other's


def test_A8_56_what_is_ours_is_told_as_it_is_now(session: Session, scripted: Make) -> None:
    server = scripted(claiming)
    ports = session.serve("owns", OURS, [server.server()])
    session.apply()
    for _ in range(2):
        assert texts(ask(ports, "www.example.org")) == {"web1.front.", "10.1.0.2"}
    session.table("net", {wire.to_wire("web1.front"): {wire.A: address(wire.A, "10.1.0.3")}}, "e")
    session.apply(2)
    assert texts(ask(ports, "www.example.org")) == {"web1.front.", "10.1.0.3"}
    assert len(server.heard) == 1


def test_A8_56_an_address_of_a_stranger_is_no_answer(session: Session, scripted: Make) -> None:
    def stranger(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        answer = dns.message.make_response(query, recursion_available=True)
        answer.answer.append(dns.rrset.from_text("evil.example.", 300, "IN", "A", "6.6.6.6"))
        return answer.to_wire()

    first = scripted(stranger)
    assert ask(served(session, first), "www.example.org").rcode() == dns.rcode.SERVFAIL
    assert texts(ask(served(session, first, scripted(good)), "www.example.net")) == {"192.0.2.9"}


OUT = {
    wire.to_wire(ours): {wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire(theirs))]}
    for ours, theirs in {"go": "b.example", "start": "a.example"}.items()
}


def leading(**leads: str) -> Callable[[dns.message.Message, bool], bytes]:
    """`a.example` is an alias of what `a` says; a name without one has an address."""

    def script(query: dns.message.Message, stream: bool) -> bytes:
        name = query.question[0].name
        target = leads.get(name.to_text().lower().split(".")[0])
        if target is None:
            return good(query, stream)
        answer = dns.message.make_response(query, recursion_available=True)
        answer.answer += [
            dns.rrset.from_text(name, 60, "IN", "CNAME", target),
            dns.rrset.from_text(target, 60, "IN", "A", "6.6.6.6"),
        ]
        return answer.to_wire()

    return script


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("name", ["a.example", "start"])
def test_A8_56_out_and_in_and_out_again_is_one_whole_answer(
    session: Session, scripted: Make, name: str, tcp: bool
) -> None:
    server = scripted(leading(a="go."))
    ports = session.serve(names=OUT, upstreams=[server.server()])
    session.apply()
    chain = ["a.example. CNAME go.", "go. CNAME b.example.", "b.example. A 192.0.2.9"]
    wanted = ["start. CNAME a.example."] * (name == "start") + chain
    for _ in range(3):  # asked, from the cache, and from what is kept as it was given
        reply = ask(ports, name, tcp=tcp)
        shown = [f"{each.name} {item.rdtype.name} {item}" for each in reply.answer for item in each]
        assert (reply.rcode(), shown) == (dns.rcode.NOERROR, wanted)
        assert bool(reply.flags & dns.flags.AA) == (name == "start")
    assert len(server.heard) == 2


@pytest.mark.parametrize("name", ["a.example", "b.example", "go", "start"])
def test_A8_56_a_circle_of_theirs_and_ours_is_servfail_at_once(
    session: Session, scripted: Make, name: str
) -> None:
    server = scripted(leading(a="go.", b="start."))
    ports = session.serve(names=OUT, upstreams=[server.server()])
    session.apply()
    for _ in range(2):
        reply = asked(ports, name)
        assert (reply.rcode(), reply.answer) == (dns.rcode.SERVFAIL, [])
        assert "lead to each other" in str(reply.extended_errors()[0].text)
    assert len(server.heard) == 2


def test_A8_56_all_names_of_a_chain_share_the_time_of_one_question(
    session: Session, scripted: Make
) -> None:
    leads = leading(a="go.")
    asked_for: list[str] = []

    def script(query: dns.message.Message, stream: bool) -> bytes | None:
        asked_for.append(query.question[0].name.to_text().lower())
        is_heard = asked_for.count("a.example.") > 1 and asked_for[-1] == "a.example."
        return leads(query, stream) if is_heard else None

    server = scripted(script)
    ports = session.serve(names=OUT, upstreams=[server.server()])
    session.apply()
    # The first name costs a try, 1.5 s; the second is never answered. A stub waits for 5 s.
    with session.clock.held(5.0):
        reply = over_udp(dns.message.make_query("a.example", "A"), ports)
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert "b.example." in asked_for


def test_a_chain_that_is_known_in_part_is_no_answer_of_the_cache(
    session: Session, scripted: Make
) -> None:
    ports = session.serve(names=OUT, upstreams=[scripted(leading(a="go.")).server()])
    session.apply()
    ask(ports, "a.example")
    session.say(protocol.Flush(wire.to_wire("b.example")))
    assert session.hear() == protocol.Flushed(1)
    ask(ports, "a.example")
    session.say(protocol.Count())
    counted = session.hear()
    assert isinstance(counted, protocol.Counted)
    took = [key for key, _ in counted.sums if key[0].startswith(counters.SECONDS)]
    assert {"upstream"} == {key[1] for key in took}


class Slow(Upstream):
    """Answers after as many seconds of `clock` as `takes` says of the name's first label."""

    takes: Mapping[str, float] = MappingProxyType({})

    def __init__(self, clock: Seen) -> None:
        self.clock = clock
        self.late: list[threading.Thread] = []
        super().__init__()

    def close(self) -> None:
        for each in self.late:
            each.join()
        super().close()

    def reply(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        label = query.question[0].name.to_text().lower()[0]
        peer = ("127.0.0.1", self.heard[-1][1])
        answer = dns.message.from_wire(leading(a="go.")(query, stream))
        answer.answer[0].ttl = 1

        def later() -> None:
            self.clock.passes(self.takes.get(label, 0.0))
            self.udp.sendto(answer.to_wire(), peer)

        self.late.append(threading.Thread(target=later))
        self.late[-1].start()
        return None


def test_an_old_end_that_had_little_time_is_asked_for_again(session: Session) -> None:
    """Of the 4.5 s the alias takes 4; only who had time to find out is not asked for 30 s."""
    with contextlib.closing(Slow(session.clock)) as server:
        ports = session.serve(
            names=OUT, upstreams=[protocol.Upstream("127.0.0.1", server.port, inside=False)]
        )
        session.apply()
        assert texts(ask(ports, "b.example")) == {"192.0.2.9"}
        session.clock.passes(1.2)  # it is over
        server.takes = {"a": 4.0, "b": 1.0}
        query = dns.message.make_query("a.example", "A", use_edns=0)
        old = over_udp(query, ports)
        assert (texts(old), explanations(old)) == ({"go.", "b.example.", "192.0.2.9"}, [3])
        new = asked(ports, "b.example")
        assert (texts(new), explanations(new)) == ({"192.0.2.9"}, [])


def test_what_is_cut_is_explained(session: Session, scripted: Make) -> None:
    server = scripted(leading(a="go."))
    ports = session.serve(names=OUT, upstreams=[server.server()])
    session.apply()
    ask(ports, "a.example")
    session.say(protocol.Explain("s", wire.to_wire("a.example"), wire.A))
    told = session.hear()
    assert isinstance(told, protocol.Explained)
    assert (
        "cut",
        "go. is ours, which leads on to b.example.: 1 records of others about it left out",
    ) in [each[:2] for each in told.steps]
    assert [each.stage for each in told.steps].count("tried") == 2

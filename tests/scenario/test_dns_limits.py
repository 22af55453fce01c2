"""Overload and loops through a real worker: nobody is refused, nobody waits for nothing."""

import functools
import socket
import threading

import dns.message
import dns.rcode
import pytest

from metrics import dns as dns_page
from resolver import counters, protocol
from resolver.listen import server
from tests.scenario.test_dns_forwarding import (
    Make,
    Scripted,
    address,
    failing,
    good,
    mute,
    scripted,
    texts,
)
from tests.scenario.unbound import free_port
from tests.scenario.worker import HANGS_S, Session, ask, over_tcp, over_udp
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's
SOON_S = 0.5  # of the worker: less than any try takes
SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h


def counted(session: Session, name: str) -> dict[str, float]:
    session.say(protocol.Count())
    heard = session.hear()
    assert isinstance(heard, protocol.Counted)
    return {labels[-1]: value for labels, value in heard.sums if labels[0] == name}


def test_A8_109_beyond_the_limit_a_short_wait_then_servfail_and_never_refused(
    session: Session, scripted: Make
) -> None:
    ports = session.serve(names={}, upstreams=[scripted(mute).server()])
    assert session.apply() == {}
    many = 40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        link.settimeout(HANGS_S)
        with session.clock.held():
            for number in range(server.IN_FLIGHT + many):
                query = dns.message.make_query(f"n{number}.example.org", "A", use_edns=0)
                link.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
                if number % 100 == 99:  # as many as a socket's queue surely holds
                    eventually(functools.partial(_has_heard, session, number), 30, "it read them")
        with session.clock.held(3.0):  # the others have 4.5
            replies = [dns.message.from_wire(link.recv(4096)) for _ in range(many)]
    assert {each.rcode() for each in replies} == {dns.rcode.SERVFAIL}
    assert {int(found.code) for each in replies for found in each.extended_errors()} == {0}
    assert counted(session, "sdd_dns_dropped_total")["queue_timeout"] == many


def test_A8_73_whoever_asks_too_fast_is_bounded_and_nobody_else(
    session: Session, scripted: Make
) -> None:
    upstream = scripted(good).server()
    loud = session.serve("loud", names={}, upstreams=[upstream], rate=5)
    calm = session.serve("calm", names={}, upstreams=[upstream], rate=5)
    assert session.apply() == {}
    with session.clock.held():  # a burst of ten, and five in each second
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            for number in range(30):
                query = dns.message.make_query(f"n{number}.example.org", "A")
                link.sendto(query.to_wire(), ("127.0.0.1", loud[0]))
            eventually(functools.partial(_has_heard, session, 30), 30, "the worker read them")
        assert counted(session, "sdd_dns_dropped_total")["rate_limit"] == 20
        query = dns.message.make_query("late.example.org", "A", use_edns=0)
        said = over_tcp(query, loud)
        assert said.rcode() == dns.rcode.SERVFAIL
        assert int(said.extended_errors()[0].code) == 0
        assert texts(ask(calm, "www.example.org"))
    assert texts(ask(loud, "n0.example.org"))  # known by now, so nobody is asked


def test_X6_five_thousand_equal_questions_are_one_for_the_server(
    session: Session, scripted: Make
) -> None:
    many, asked = 5000, threading.Event()

    def when_all_asked(query: dns.message.Message, stream: bool) -> bytes | None:
        asked.wait(HANGS_S)
        return good(query, stream)

    upstream = scripted(when_all_asked)
    ports = session.serve(names={}, upstreams=[upstream.server()])
    assert session.apply() == {}
    query = dns.message.make_query("www.example.org", "A").to_wire()
    with session.clock.held(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        link.settimeout(HANGS_S)
        for sent in range(200, many + 1, 200):  # more than that its queue would not take
            for _ in range(200):
                link.sendto(query, ("127.0.0.1", ports[0]))
            eventually(functools.partial(_has_heard, session, sent), 30, "the worker read them")
        asked.set()
        replies = [link.recv(4096) for _ in range(many)]
    assert {dns.message.from_wire(each).rcode() for each in set(replies)} == {dns.rcode.NOERROR}
    assert len(upstream.heard) == 1
    assert counted(session, "sdd_dns_coalesced_total") == {"sdd_dns_coalesced_total": many - 1}


def _has_heard(session: Session, many: int) -> bool:
    return sum(counted(session, "sdd_dns_requests_total").values()) >= many


def test_A8_73_another_sandbox_is_served_at_once_meanwhile(
    session: Session, scripted: Make
) -> None:
    """Of five times what it may have under way; how long it takes is tests/bench/dns/bench_flood."""
    flooding = session.serve("loud", names={}, upstreams=[scripted(mute).server()])
    quiet = session.serve("quiet", upstreams=[scripted(good).server()])
    assert session.apply() == {}
    queries = [
        dns.message.make_query(f"n{number}.example.org", "A").to_wire()
        for number in range(5 * server.IN_FLIGHT)
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        for at, query in enumerate(queries):
            link.sendto(query, ("127.0.0.1", flooding[0]))
            if at % 256 == 255:  # while it is flooded, and not only before
                assert texts(ask(quiet, f"www{at}.example.org")) == {"192.0.2.9"}
    held = counted(session, "sdd_dns_inflight_requests")["sdd_dns_inflight_requests"]
    assert held <= server.IN_FLIGHT


def test_A8_59_a_server_that_asks_us_is_found_out_and_the_next_is_asked(
    session: Session, scripted: Make
) -> None:
    back: list[tuple[int, int]] = []

    def to_us(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        return over_udp(query, back[0]).to_wire()

    looping, better = scripted(to_us), scripted(good)
    servers = [looping.server(), better.server()]
    back.append(session.serve(names={}, upstreams=servers))
    assert session.apply() == {}
    with session.clock.held(SOON_S):
        assert texts(ask(back[0], "www.example.org")) == {"192.0.2.9"}
    assert len(looping.heard) == 1
    assert counted(session, "sdd_upstream_failures_total") == {"loop": 1}
    assert texts(ask(back[0], "other.example.org")) == {"192.0.2.9"}
    assert len(looping.heard) == 1


def test_A8_59_alone_in_a_loop_ends_in_servfail_at_once(session: Session, scripted: Make) -> None:
    back: list[tuple[int, int]] = []

    def to_us(query: dns.message.Message, stream: bool) -> bytes:
        del stream
        return over_udp(query, back[0]).to_wire()

    looping: Scripted = scripted(to_us)
    back.append(session.serve(names={}, upstreams=[looping.server()]))
    assert session.apply() == {}
    with session.clock.held(SOON_S):
        assert ask(back[0], "www.example.org").rcode() == dns.rcode.SERVFAIL
    assert len(looping.heard) <= 4


def series(session: Session) -> dict[tuple[str, ...], float]:
    session.say(protocol.Count())
    heard = session.hear()
    assert isinstance(heard, protocol.Counted)
    return {tuple(labels): value for labels, value in heard.sums}


def networks(session: Session) -> set[str]:
    """Those of which anything is counted."""
    return {labels[1] for labels in series(session) if labels[0] == "sdd_dns_requests_total"}


def test_what_was_counted_of_a_network_is_told_once_more_when_nobody_is_on_it(
    session: Session,
) -> None:
    ports = session.serve("stays", names={})
    session.table("job", {})
    session.view("comes", ["job"])
    goes = session.serve("goes")
    session.view("goes", ["job"])
    assert session.apply() == {}
    for each in (ports, goes):
        ask(each, "web.example")
    session.say(protocol.Gone("goes"))
    session.say(protocol.Gone("comes"))
    assert session.apply() == {}
    assert networks(session) == {"net", "job"}
    assert networks(session) == {"net"}


def test_B3_every_kind_of_event_is_counted(session: Session, scripted: Make) -> None:
    def script(query: dns.message.Message, stream: bool) -> bytes:
        if query.question[0].name.to_text().lower().startswith("none"):
            return failing(query, dns.rcode.NXDOMAIN)
        return good(query, stream)

    upstream = scripted(script)
    ports = session.serve(names={}, upstreams=[upstream.server()])
    assert session.apply() == {}
    for name in ("one.example.org", "one.example.org", "none.example.org"):
        ask(ports, name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        for bad in (
            b"short",
            b"\0\1\x80" + bytes(9),
            b"\0\1\x78" + bytes(9),
            bytes(12),
            bytes(5000),
        ):
            link.sendto(bad, ("127.0.0.1", ports[0]))
    ask(ports, "one.example.org")
    found = series(session)
    assert found["sdd_dns_cache_entries", "success"] == 1
    assert found["sdd_dns_request_duration_seconds", "upstream", "+Inf"] == 2
    assert found["sdd_dns_response_size_bytes", "udp", "+Inf"] == 4
    assert 0 < found["sdd_dns_response_size_bytes", "udp", "sum"] < 4 * 512
    assert found["sdd_dns_inflight_requests",] == 0
    assert found["sdd_upstream_up", upstream.server().label] == 1
    for reason in ("short", "response", "opcode", "question", "long"):
        assert found["sdd_dns_malformed_total", reason] == 1


def test_B3_a_server_that_nobody_is_at_is_not_up(session: Session) -> None:
    nobody = protocol.Upstream("127.0.0.1", free_port(), inside=False)
    ports = session.serve(names={}, upstreams=[nobody])
    assert session.apply() == {}
    assert ask(ports, "one.example.org").rcode() == dns.rcode.SERVFAIL
    found = series(session)
    assert found["sdd_upstream_up", nobody.label] == 0
    assert found["sdd_upstream_failures_total", nobody.label, "refused"] >= 1


def test_B3_of_a_server_that_was_never_asked_nobody_knows_whether_it_is_up(
    session: Session, scripted: Make
) -> None:
    other = protocol.Upstream("127.0.0.2", free_port(), inside=False)
    asked_one = scripted(good).server()
    ports = session.serve(names={}, upstreams=[asked_one, other])
    assert session.apply() == {}
    assert texts(ask(ports, "one.example.org")) == {"192.0.2.9"}
    up = {key: value for key, value in series(session).items() if key[0] == "sdd_upstream_up"}
    assert up == {("sdd_upstream_up", asked_one.label): 1}


def test_B3_nothing_is_told_of_servers_inside_a_sandbox_that_is_gone(
    session: Session, scripted: Make
) -> None:
    port = free_port()
    dead = protocol.Upstream("127.0.0.2", port, inside=True)
    gone = session.serve("gone", names={}, upstreams=[dead], inside=2)
    well = scripted(good).server()
    stays = session.serve("stays", names={}, upstreams=[well])
    assert session.apply() == {}
    assert ask(gone, "one.example.org").rcode() == dns.rcode.SERVFAIL
    assert texts(ask(stays, "one.example.org")) == {"192.0.2.9"}
    assert series(session)["sdd_upstream_up", dead.label] == 0
    session.say(protocol.Gone("gone"))
    assert session.apply(2) == {}
    assert ("sdd_upstream_up", dead.label) not in series(session)  # and counts for a last time
    assert {key[1] for key in series(session) if key[0].startswith("sdd_upstream_")} == {well.label}
    session.say(protocol.ListUpstreams(0))
    listed = session.hear()
    assert isinstance(listed, protocol.UpstreamsListed)
    assert [each.address for each in listed.rows] == [well.label]


def test_B3_a_server_that_nobody_asks_any_more_is_not_told_to_be_down(session: Session) -> None:
    nobody = protocol.Upstream("127.0.0.1", free_port(), inside=False)
    ports = session.serve("s", names={}, upstreams=[nobody])
    assert session.apply() == {}
    assert ask(ports, "one.example.org").rcode() == dns.rcode.SERVFAIL
    assert series(session)["sdd_upstream_up", nobody.label] == 0
    session.view("s", ["net"], [])
    assert session.apply(2) == {}
    for _ in range(2):
        session.say(protocol.Count())
        heard = session.hear()
        assert isinstance(heard, protocol.Counted)
        page = [each for each in dns_page.families([heard.sums]) if each.name == "sdd_upstream_up"]
        assert not page[0].samples
    assert not [key for key in series(session) if key[0].startswith("sdd_upstream_f")]


def test_B3_labels_of_servers_that_come_and_go_are_free_again(
    session: Session,
) -> None:
    """A laptop that roams, or a VPN."""
    port = free_port()
    ports = session.serve("s", names={}, upstreams=[])
    for number in range(counters.MOST_UPSTREAMS + 8):
        one = protocol.Upstream(f"127.1.0.{number + 1}", port, inside=False)
        session.view("s", ["net"], [one])
        assert session.apply(number + 1) == {}
        assert ask(ports, f"n{number}.example.org").rcode() == dns.rcode.SERVFAIL
        assert ("sdd_upstream_up", one.label) in series(session)  # under its own name
    left = {
        key[1] for key in series(session) if key[0].startswith("sdd_upstream_") and len(key) > 1
    }
    assert one.label in left
    assert len(left - {"id", "question", "case", "cookie"}) <= 2


@pytest.mark.parametrize("has_tcp", [True, False])
@pytest.mark.parametrize("reason", ["id", "question"])
def test_A8_52_replies_of_a_wrong_id_or_question_are_counted_and_it_goes_over_tcp(
    session: Session, scripted: Make, reason: str, has_tcp: bool
) -> None:
    """Where there is no TCP the right one is waited for all the same."""

    def script(query: dns.message.Message, stream: bool) -> bytes:
        if stream:
            return good(query, stream)
        if reason == "id":
            forged = bytes((query.id >> 8 ^ 1,)) + address(query, text="6.6.6.6")[1:]
        else:
            other = dns.message.make_query("other.example.net", "A")
            other.id = query.id
            forged = address(other, text="6.6.6.6")
        upstream.udp.sendto(forged, ("127.0.0.1", upstream.heard[-1][1]))
        return good(query, stream)

    upstream: Scripted = scripted(script)
    if not has_tcp:
        upstream.refuse_tcp()
    ports = session.serve(names={}, upstreams=[upstream.server()])
    assert session.apply() == {}
    for number in range(2):
        assert texts(ask(ports, f"n{number}.example.org")) == {"192.0.2.9"}
    ways = [way for way, _ in upstream.heard]
    assert ways == (["udp", "tcp"] * 2 if has_tcp else ["udp"] * 3)
    assert series(session)["sdd_upstream_spoof_suspect_total", reason] == ways.count("udp")
    (line,) = session.notes()
    assert line.startswith(
        f"upstream {upstream.server().label}: somebody else answers in its place"
    )

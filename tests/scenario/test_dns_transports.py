"""Encrypted upstreams through a real worker, against real servers: unbound, and aioquic's QUIC."""

import contextlib
import functools
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import msgspec
import pytest

from resolver import protocol
from resolver.message import wire
from resolver.upstream import forward, late
from tests.scenario import certificates, encrypted
from tests.scenario.certificates import NAME, Certificates
from tests.scenario.encrypted import ADDRESS, Doq
from tests.scenario.goaway import Goaway
from tests.scenario.relays import Counting, Forgetting
from tests.scenario.test_dns_forwarding import Make, good, scripted
from tests.scenario.unbound import free_port
from tests.scenario.worker import HANGS_S, Session, ask, over_udp
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's

KINDS = ["tls", "https", "quic"]
UNDOUBTED_S = 0.4  # of the worker: nobody doubts a server, nor a connection that was kept
SLOW = 4  # times, so that a try is 6 s for what costs more than a busy machine has
ROUNDS = 10  # in which questions that took too long are asked again


@pytest.fixture(scope="module")
def trusted() -> Iterator[Certificates]:
    with certificates.made() as made:
        yield made


@pytest.fixture(scope="module")
def ports(
    trusted: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    quic = Doq(trusted)
    with encrypted.unbound(trusted, tmp_path_factory.mktemp("unbound")) as (tls, https):
        yield {"tls": tls, "https": https, "quic": quic.port}
    quic.close()


@pytest.fixture
def quic(trusted: Certificates) -> Iterator[Doq]:
    server = Doq(trusted)
    yield server
    server.close()


def server(
    kind: str, port: int, trusted: Certificates, name: str = NAME, *, inside: bool = False
) -> protocol.Upstream:
    return protocol.Upstream(
        address="127.0.0.1",
        port=port,
        inside=inside,
        transport=kind,
        name=name,
        path="/dns-query" if kind == "https" else "",
        ca=str(trusted.authority),
    )


def served(
    session: Session, *upstreams: protocol.Upstream, inside: int = 0, sandbox: str = "s"
) -> tuple[int, int]:
    ports = session.serve(sandbox, names={}, upstreams=list(upstreams), inside=inside)
    assert session.apply() == {}
    return ports


def texts(reply: dns.message.Message) -> set[str]:
    return {item.to_text() for rrset in reply.answer for item in rrset}


@pytest.mark.parametrize("name", [NAME, ""])
@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_for_the_name_or_the_address_is_good(
    session: Session, ports: dict[str, int], trusted: Certificates, kind: str, name: str
) -> None:
    listening = served(session, server(kind, ports[kind], trusted, name))
    assert texts(ask(listening, "www.example.org")) == {ADDRESS}


def has_library(session: Session) -> bool:
    """Whether the worker has loaded the one for QUIC."""
    return "/aioquic/" in Path(f"/proc/{session.inventory.pid}/maps").read_text()


def test_the_library_for_quic_is_loaded_when_a_server_is_there(
    session: Session, quic: Doq, trusted: Certificates
) -> None:
    """Unless its files could not be read then."""
    nobody = server("tls", free_port(), trusted)
    listening = served(session, nobody)
    is_hidden = not all(map(late._is_public, late._FROM))
    assert has_library(session) == is_hidden
    session.view("s", [], [server("quic", quic.port, trusted)])
    assert session.apply(2) == {}
    eventually(lambda: has_library(session), 30, "it is loaded before anybody asks")
    assert texts(ask(listening, "www.example.org")) == {ADDRESS}


@pytest.mark.parametrize("kind", KINDS)
def test_inside_a_sandbox_lent_sockets_carry_it(
    session: Session, ports: dict[str, int], trusted: Certificates, kind: str
) -> None:
    listening = served(session, server(kind, ports[kind], trusted, inside=True), inside=1)
    assert texts(ask(listening, "www.example.org")) == {ADDRESS}


def test_more_servers_than_there_are_sockets_are_all_heard(
    session: Session, ports: dict[str, int], trusted: Certificates, scripted: Make
) -> None:
    """A connection that is kept for later makes room; also for what is cut over UDP."""
    kinds = (("tls", NAME), ("tls", ""), ("https", NAME), ("https", ""))
    zones = {
        wire.to_wire(f"z{number}.many.example"): [
            server(kind, ports[kind], trusted, name, inside=True)
        ]
        for number, (kind, name) in enumerate(kinds)
    }
    usual = [msgspec.structs.replace(scripted(cut_once).server(), inside=True)]
    listening = session.serve(inside=2)
    session.say(protocol.View("s", "v", [], [], {}, usual, routes=zones))
    assert session.apply() == {}
    for turn in range(3):
        for number in range(len(kinds)):
            name = f"www{turn}.z{number}.many.example"
            assert texts(ask(listening, name)) == {ADDRESS}
        assert texts(ask(listening, f"www{turn}.example.net")) == {"192.0.2.9"}
    session.say(protocol.ListUpstreams(0))
    listed = session.hear()
    assert isinstance(listed, protocol.UpstreamsListed)
    assert [each.error for each in listed.rows] == [""] * 5


def cut_once(query: dns.message.Message, stream: bool) -> bytes:
    """Whole over TCP alone."""
    if stream:
        return good(query, stream)
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.TC
    return answer.to_wire()


def test_another_namespace_of_a_sandbox_is_asked_from_by_a_connection_of_its_own(
    session: Session, quic: Doq, trusted: Certificates
) -> None:
    """Nothing is kept of what was there: an address may be another server here."""
    upstream = server("quic", quic.port, trusted, inside=True)
    for inode, count in ((1, 1), (1, 1), (2, 2), (1, 3)):
        listening = session.serve(names={}, upstreams=[upstream], inside=2, inode=inode)
        assert session.apply() == {}
        with session.clock.slowed(SLOW):
            assert texts(ask(listening, "www.example.org")) == {ADDRESS}
        assert (quic.connections, len(quic.asked)) == (count, count)


@pytest.mark.parametrize("kind", KINDS)
def test_A8_67_a_certificate_of_another_name_is_an_error_and_nothing_goes_out_plain(
    session: Session, ports: dict[str, int], trusted: Certificates, kind: str
) -> None:
    listening = served(session, server(kind, ports[kind], trusted, "other.test"))
    query = dns.message.make_query("www.example.org", "A", use_edns=0)
    with session.clock.slowed(SLOW):
        reply = over_udp(query, listening)
    assert reply.rcode() == dns.rcode.SERVFAIL
    (why,) = reply.extended_errors()
    assert int(why.code) == 22
    said = "tls: Hostname mismatch, certificate is not valid for 'other.test'"
    assert said in str(why.text)
    assert "tls" in failures(session)  # later tries may be too late for a handshake
    session.say(protocol.Explain("s", wire.to_wire("www.example.org"), wire.A))
    explained = session.hear()
    assert isinstance(explained, protocol.Explained)
    told = [each.text for each in explained.steps if each.stage == "tried"]
    assert sum(said in each for each in told) == 1, told  # it would be refused again
    (note,) = session.notes()
    assert re.search(r"^upstream .* is not believed: .*other\.test", note)


@pytest.mark.parametrize("kind", KINDS)
def test_an_authority_that_nobody_named_is_not_believed(
    session: Session, ports: dict[str, int], trusted: Certificates, kind: str
) -> None:
    bare = server(kind, ports[kind], trusted)
    system = protocol.Upstream(bare.address, bare.port, False, kind, NAME, bare.path)
    listening = served(session, system)
    with session.clock.slowed(SLOW):
        assert ask(listening, "www.example.org").rcode() == dns.rcode.SERVFAIL
    # A handshake that takes longer than a try, on a busy machine, is told of twice.
    assert {"tls"} <= failures(session) <= {"tls", "timeout"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_not_there_gives_way_to_the_next(
    session: Session, ports: dict[str, int], trusted: Certificates, kind: str
) -> None:
    nobody = server(kind, free_port(), trusted)
    listening = served(session, nobody, server(kind, ports[kind], trusted))
    with session.clock.slowed(SLOW):
        assert texts(ask(listening, "www.example.org")) == {ADDRESS}


@pytest.mark.parametrize("kind", ["tls", "https"])
def test_a_hundred_questions_share_one_connection(
    session: Session, ports: dict[str, int], trusted: Certificates, kind: str
) -> None:
    with Counting(ports[kind]) as between:
        listening = served(session, server(kind, between.port, trusted))
        with session.clock.held(UNDOUBTED_S):
            many(listening, 100)
    assert between.connections == 1


def test_A8_68_doq_id_0_one_stream_a_query_fin_sent(
    session: Session, quic: Doq, trusted: Certificates
) -> None:
    listening = served(session, server("quic", quic.port, trusted))
    with session.clock.slowed(SLOW):
        many(listening, 20)
    assert len(quic.asked) == 20
    assert all(message[:2] == b"\0\0" and fin for message, fin in quic.heard)
    assert {len(message) % 128 for message, _ in quic.heard} == {0}  # RFC 8467 §4.1
    assert quic.connections == 1


def test_A8_70_500_questions_at_once_over_one_connection_of_100_streams(
    session: Session, quic: Doq, trusted: Certificates
) -> None:
    quic.delay_s, quic.streams = 0.05, 100
    upstream = server("quic", quic.port, trusted)
    boxes = [served(session, upstream, sandbox=f"s{number}") for number in range(2)]
    all_answered(session, boxes, 500)
    # One, unless it is silent for longer than one may be.
    assert quic.connections <= ROUNDS
    assert 20 < quic.most_open <= 100


def test_A8_70_what_is_given_up_leaves_nothing_behind(
    session: Session, quic: Doq, trusted: Certificates
) -> None:
    quic.delay_s, quic.streams = 60.0, 100
    upstream = server("quic", quic.port, trusted)
    boxes = [served(session, upstream, sandbox=f"s{number}") for number in range(2)]
    assert not at_once(session, boxes, range(500))
    assert counters_of(session)["sdd_dns_inflight_requests",] == 0
    quic.delay_s, quic.open = 0.0, 0
    # No stream is lost: more than there are, one after the other and all at once.
    with session.clock.slowed(SLOW):
        many(boxes[0], 120)
    all_answered(session, boxes, 300)


@pytest.mark.parametrize("kind", ["tls", "https"])
def test_a_connection_that_the_server_dropped_is_replaced_unseen(
    session: Session, ports: dict[str, int], trusted: Certificates, kind: str
) -> None:
    with Counting(ports[kind]) as between:
        listening = served(session, server(kind, between.port, trusted))
        assert texts(ask(listening, "a.many.example")) == {ADDRESS}
        between.drop()
        with session.clock.held(UNDOUBTED_S):
            assert texts(ask(listening, "b.many.example")) == {ADDRESS}
    assert between.connections == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_went_silent_is_replaced_and_the_server_stays_up(
    session: Session, ports: dict[str, int], trusted: Certificates, kind: str
) -> None:
    with (Forgetting if kind == "quic" else Counting)(ports[kind]) as between:
        listening = served(session, server(kind, between.port, trusted))
        assert texts(ask(listening, "a.many.example")) == {ADDRESS}
        between.forget()
        began = session.clock.now
        with session.clock.slowed(SLOW):
            assert texts(ask(listening, "b.many.example")) == {ADDRESS}
            assert session.clock.now - began < forward.TRY_S
    assert failures(session) == set()
    assert states(session) == {"up"}


def test_what_was_asked_before_goaway_is_answered_and_the_next_goes_elsewhere(
    session: Session, trusted: Certificates
) -> None:
    with Goaway(trusted, most=3, delay_s=0.3) as ends:
        listening = served(session, server("https", ends.port, trusted))
        with session.clock.held(UNDOUBTED_S):
            many(listening, 9)
    assert failures(session) == set()
    assert ends.heard == [3, 3, 3]


def test_A8_25_tcp_only_is_asked_over_tcp_only(session: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_one_answer, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        only = protocol.Upstream("127.0.0.1", port, inside=False, transport="tcp")
        assert texts(ask(served(session, only), "www.example.org")) == {ADDRESS}


def _one_answer(listener: socket.socket) -> None:
    link, _ = listener.accept()
    with link:
        data = link.recv(4096)
        query = dns.message.from_wire(data[2:])
        reply = dns.message.make_response(query, recursion_available=True)
        name = query.question[0].name
        reply.answer.append(dns.rrset.from_text(name, 300, "IN", "A", ADDRESS))
        wire = reply.to_wire()
        link.sendall(len(wire).to_bytes(2, "big") + wire)


def many(listening: tuple[int, int], count: int) -> None:
    """So many questions at once, all answered."""
    names = [f"n{number}.many.example" for number in range(count)]
    with ThreadPoolExecutor(32) as threads:
        for reply in threads.map(lambda name: ask(listening, name), names):
            assert texts(reply) == {ADDRESS}


def all_answered(session: Session, boxes: list[tuple[int, int]], count: int) -> None:
    """So many questions at once, all answered in the end: stubs ask again what took too long."""
    left = set(range(count))
    for _ in range(ROUNDS):
        with session.clock.slowed(2 * SLOW):
            left -= at_once(session, boxes, sorted(left))
        if not left:
            return
        session.say(protocol.Flush(b"\0"))  # failures are remembered, too
        session.hear()
    raise AssertionError(f"{len(left)} of {count} are not answered")


def at_once(session: Session, boxes: list[tuple[int, int]], numbers: Sequence[int]) -> set[int]:
    """Which of the questions were answered well; spread over sandboxes, none waits for another."""
    before, good = asked(session), set[int]()
    with contextlib.ExitStack() as stack:
        links = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in boxes
        ]
        for at, number in enumerate(numbers):
            query = dns.message.make_query(f"n{number}.once.example", "A", id=number)
            links[at % len(boxes)].sendto(query.to_wire(), ("127.0.0.1", boxes[at % len(boxes)][0]))
            if at % 100 == 99:  # as many as a socket's queue surely holds
                eventually(functools.partial(_has_read, session, before + at), 30, "it read them")
        for at, _ in enumerate(numbers):
            links[at % len(boxes)].settimeout(HANGS_S)
            reply = dns.message.from_wire(links[at % len(boxes)].recv(4096))
            if reply.rcode() == dns.rcode.NOERROR:
                good.add(reply.id)
    return good


def _has_read(session: Session, many: float) -> bool:
    return asked(session) > many


def counters_of(session: Session) -> dict[tuple[str, ...], float]:
    session.say(protocol.Count())
    counted = session.hear()
    assert isinstance(counted, protocol.Counted)
    return {tuple(key): value for key, value in counted.sums}


def asked(session: Session) -> float:
    """How many questions the worker has read."""
    sums = counters_of(session)
    return sum(value for key, value in sums.items() if key[0] == "sdd_dns_requests_total")


def failures(session: Session) -> set[str]:
    """The reasons of failed exchanges with upstreams."""
    session.say(protocol.Count())
    counted = session.hear()
    assert isinstance(counted, protocol.Counted)
    return {labels[2] for labels, _ in counted.sums if labels[0] == "sdd_upstream_failures_total"}


def states(session: Session) -> set[str]:
    """What is known of the upstreams."""
    session.say(protocol.ListUpstreams(0))
    listed = session.hear()
    assert isinstance(listed, protocol.UpstreamsListed)
    return {each.state for each in listed.rows}

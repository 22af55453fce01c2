"""Checks of the DNS server by their numbers (docker.md §3.1, dns_and_users.md A8), on a real worker."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import pytest

from resolver import protocol
from resolver.message import wire
from tests.scenario import worker as workers
from tests.scenario.test_dns_forwarding import (
    Scripted,
    address,
    explanations,
    failing,
    good,
    texts,
)
from tests.scenario.worker import HANGS_S, Session, Worker, ask, over_tcp, over_udp

NAMES: protocol.Names = {wire.to_wire("web"): {wire.A: workers.address(wire.A, "10.0.0.9")}}


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    one = Scripted(good)
    yield one
    one.close()


def served(session: Session, *upstreams: Scripted) -> tuple[int, int]:
    ports = session.serve(names=NAMES, upstreams=[each.server() for each in upstreams])
    assert session.apply() == {}
    return ports


def asked(ports: tuple[int, int], query: dns.message.Message) -> dns.message.Message:
    return over_udp(query, ports)


@pytest.mark.parametrize("why", ["nobody", "refused", "broken"])
def test_C8_what_cannot_be_answered_is_servfail(worker: Worker, why: str) -> None:
    one = Scripted(
        (lambda query, _: failing(query, dns.rcode.REFUSED))
        if why == "refused"
        else (lambda query, _: address(query)[:-3])
    )
    ports = served(worker.session(), *(() if why == "nobody" else (one,)))
    reply = ask(ports, "www.example.org")
    one.close()
    assert (reply.rcode(), reply.answer) == (dns.rcode.SERVFAIL, [])


@pytest.mark.parametrize("opcode", [dns.opcode.NOTIFY, dns.opcode.UPDATE])
def test_A8_31_notify_and_update_are_not_implemented_and_touch_no_cache(
    worker: Worker, upstream: Scripted, opcode: dns.opcode.Opcode
) -> None:
    session = worker.session()
    ports = served(session, upstream)
    assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}
    for is_stream in (False, True):
        query = dns.message.make_query("www.example.org", "SOA")
        query.set_opcode(opcode)
        said = (over_tcp if is_stream else over_udp)(query, ports)
        assert (said.rcode(), said.opcode()) == (dns.rcode.NOTIMP, opcode)
    assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}
    assert len(upstream.heard) == 1


def test_A8_50_a_datagram_of_64_kib_is_dropped_and_costs_no_memory(worker: Worker) -> None:
    ports = served(worker.session())
    assert texts(ask(ports, "web")) == {"10.0.0.9"}
    before = memory(worker)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        for _ in range(300):
            link.sendto(b"\xbe\xef\1\0\0\1" + bytes(65_000), ("127.0.0.1", ports[0]))
            link.sendto(bytes(2) + b"\1\0\0\1" + b"\x3f" * 65_000, ("127.0.0.1", ports[0]))
    assert texts(ask(ports, "web")) == {"10.0.0.9"}
    assert memory(worker) - before < 4 << 20


def memory(worker: Worker) -> int:
    """What the worker holds, in bytes."""
    pages = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1])
    return pages * 4096


def test_A8_43_47_odd_names_are_answered_or_refused_and_others_served(
    worker: Worker, upstream: Scripted
) -> None:
    ports = served(worker.session(), upstream)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        link.connect(("127.0.0.1", ports[0]))
        for name in (b"\x40a\0", b"\x80a\0", b"\xbfa\0", b"\xc0\x0c"):
            link.send(b"\0\7\1\0\0\1" + bytes(6) + name + b"\0\1\0\1")
            assert link.recv(512)[3] & 0xF == dns.rcode.FORMERR
        for octet in (0, 0x2E, 0xFF):
            name = bytes((3, 97, octet, 98, 4, *b"test", 0))
            link.send(b"\0\7\1\0\0\1" + bytes(6) + name + b"\0\1\0\1")
            said = link.recv(512)
            assert said[3] & 0xF == dns.rcode.NOERROR
            assert said[12 : 12 + len(name)] == name
    assert texts(ask(ports, "web")) == {"10.0.0.9"}


def test_A8_44_a_stream_that_claims_more_than_it_sends_ends_within_3_s(worker: Worker) -> None:
    ports = served(worker.session())
    links = [socket.create_connection(("127.0.0.1", ports[1])) for _ in range(4)]
    with worker.clock.held(3.5):
        for link, sent in zip(
            links, (b"\0\0", b"\0\1x", b"\0\x0bxxx", b"\xff\xffxxx"), strict=True
        ):
            link.settimeout(HANGS_S)
            link.sendall(sent)
        assert texts(ask(ports, "web", tcp=True)) == {"10.0.0.9"}
        for link in links:
            assert link.recv(1) == b""
            link.close()


def test_A8_62_a_byte_a_second_is_not_waited_for(worker: Worker) -> None:
    ports = served(worker.session())
    message = dns.message.make_query("web", "A").to_wire()
    whole = len(message).to_bytes(2, "big") + message
    with (
        worker.clock.held(3.5),
        socket.create_connection(("127.0.0.1", ports[1])) as link,
        contextlib.suppress(ConnectionError),  # what was sent after the end is not read
    ):
        for each in whole[:-1]:
            link.settimeout(0.5)
            link.send(bytes((each,)))
            with contextlib.suppress(TimeoutError):
                assert link.recv(1) == b""
                break
        link.settimeout(HANGS_S)
        assert link.recv(1) == b""


def test_A8_104_ten_thousand_names_make_no_new_series(worker: Worker, upstream: Scripted) -> None:
    session = worker.session()
    upstream.script = lambda query, _: failing(query, dns.rcode.NXDOMAIN)
    ports = served(session, upstream)

    def series() -> set[tuple[str, ...]]:
        session.say(protocol.Count())
        counted = session.hear()
        assert isinstance(counted, protocol.Counted)
        return {tuple(labels) for labels, _ in counted.sums}

    for name in ("web", "one.example"):
        ask(ports, name)
    names = {each[0] for each in series()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        link.connect(("127.0.0.1", ports[0]))
        for number in range(10_000):
            link.send(dns_query(f"n{number}.web"))
    ask(ports, "web")
    after = series()
    assert {each[0] for each in after} >= names
    assert not [label for labels in after for label in labels if "n99" in label]
    assert len(after) < 300


def dns_query(name: str) -> bytes:
    return b"\0\7\1\0\0\1" + bytes(6) + wire.to_wire(name) + b"\0\1\0\1"


def test_A8_55_a_hundred_equal_questions_are_one_upstream_and_each_has_its_id(
    worker: Worker, upstream: Scripted
) -> None:
    asked_by_all = threading.Event()

    def slow(query: dns.message.Message, _: bool) -> bytes:
        asked_by_all.wait(HANGS_S)
        return address(query)

    upstream.script = slow
    ports = served(worker.session(), upstream)
    query = dns.message.make_query("www.example.org", "A")
    wanted = set(range(100, 200))
    with worker.clock.held(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        link.connect(("127.0.0.1", ports[0]))
        for number in wanted:
            query.id = number
            link.send(query.to_wire())
        asked_by_all.set()
        said = [dns.message.from_wire(link.recv(512)) for _ in wanted]
    assert {each.id for each in said} == wanted
    assert len(upstream.heard) == 1


def test_A8_38_explanations_go_to_who_speaks_edns_only(worker: Worker) -> None:
    ports = served(worker.session())
    plain = asked(ports, dns.message.make_query("www.example.org", "A"))
    assert (plain.rcode(), plain.edns) == (dns.rcode.SERVFAIL, -1)
    told = asked(ports, dns.message.make_query("www.example.org", "A", use_edns=0))
    assert explanations(told) == [14]

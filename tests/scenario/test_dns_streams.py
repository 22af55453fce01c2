"""DNS over TCP through a real worker: pipelining, patience and limits."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import dns.message
import pytest

from resolver import counters, protocol
from resolver.listen import stream
from resolver.message import wire
from tests.scenario.test_dns_forwarding import Scripted, good
from tests.scenario.worker import HANGS_S, Session, Worker, address, ask
from tests.support import eventually

NAMES: protocol.Names = {wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.2")}}


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    server = Scripted(good)
    yield server
    server.close()


@pytest.fixture
def ports(worker: Worker, upstream: Scripted) -> tuple[int, int]:
    session = worker.session()
    found = session.serve(names=NAMES, upstreams=[upstream.server()])
    session.apply()
    return found


def connected(ports: tuple[int, int]) -> socket.socket:
    return socket.create_connection(("127.0.0.1", ports[1]), HANGS_S)


def framed(name: str, number: int) -> bytes:
    query = dns.message.make_query(name, "A")
    query.id = number
    data = query.to_wire()
    return len(data).to_bytes(2, "big") + data


def replies(link: socket.socket, count: int) -> list[dns.message.Message]:
    with link.makefile("rb") as file:
        return [
            dns.message.from_wire(file.read(int.from_bytes(file.read(2), "big")))
            for _ in range(count)
        ]


def test_A8_64_a_hundred_questions_and_no_more(ports: tuple[int, int]) -> None:
    with connected(ports) as link:
        link.sendall(b"".join(framed("web", number) for number in range(stream.QUERIES + 20)))
        found = replies(link, stream.QUERIES)
        assert [each.id for each in found] == list(range(stream.QUERIES))
        with contextlib.suppress(ConnectionResetError):  # some questions were not read anymore
            assert link.recv(1) == b""


def test_A8_65_answers_come_as_they_become_known(
    worker: Worker, ports: tuple[int, int], upstream: Scripted
) -> None:
    held = threading.Event()

    def slow(query: dns.message.Message, is_stream: bool) -> bytes:
        held.wait(HANGS_S)
        return good(query, is_stream)

    upstream.script = slow
    with worker.clock.held(), connected(ports) as link:
        link.sendall(framed("www.example.org", 0))
        link.sendall(b"".join(framed("web", number) for number in range(1, 10)))
        assert [each.id for each in replies(link, 9)] == [*range(1, 10)]
        held.set()
        assert [each.id for each in replies(link, 1)] == [0]


def test_A8_61_idle_connections_keep_nobody_from_being_answered(
    worker: Worker, ports: tuple[int, int]
) -> None:
    session = worker.session()
    other = session.serve("other", names=NAMES)
    session.apply(2)
    idle = [connected(ports) for _ in range(stream.CONNECTIONS)]
    try:
        assert ask(ports, "web").answer
        assert ask(other, "web").answer
        assert ask(other, "web", tcp=True).answer
        assert ask(ports, "web", tcp=True).answer  # one that asks nothing makes room
        assert counted(session)[counters.TCP_REJECTED, "idle"] == 1
    finally:
        for each in idle:
            each.close()


def burst(ports: tuple[int, int], count: int, source: str = "") -> list[socket.socket]:
    """So many connections, one after the other without waiting."""
    links = []
    for _ in range(count):
        link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if source:
            link.bind((source, 0))
        link.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            link.connect(("127.0.0.1", ports[1]))
        links.append(link)
    return links


def answered(links: list[socket.socket]) -> int:
    """How many of them get an answer."""
    count = 0
    for number, link in enumerate(links):
        link.settimeout(HANGS_S)
        with contextlib.suppress(ConnectionError):  # closed with our question unread
            link.sendall(framed("web", number))
            count += len(link.recv(2)) == 2
    return count


def counted(session: Session) -> dict[tuple[str, ...], float]:
    session.say(protocol.Count())
    heard = session.hear()
    assert isinstance(heard, protocol.Counted)
    return {tuple(key): value for key, value in heard.sums}


def test_A8_61_more_connections_than_the_limit_wait_for_a_place(
    worker: Worker, ports: tuple[int, int], upstream: Scripted
) -> None:
    """A program of many threads whose libc uses TCP: closed ones were "no such name" to it."""
    held = threading.Event()

    def slow(query: dns.message.Message, is_stream: bool) -> bytes:
        held.wait(HANGS_S)
        return good(query, is_stream)

    upstream.script = slow
    session = worker.session()
    with worker.clock.held(4 * stream.SPARE_S):  # no question takes too long
        links = burst(ports, stream.CONNECTIONS)
        for each in links:
            each.settimeout(HANGS_S)
            each.sendall(framed("www.example.org", 1))
        eventually(
            lambda: counted(session).get((counters.TCP_CONNECTIONS,)) == stream.CONNECTIONS,
            HANGS_S,
            "all are open",
        )
        more = burst(ports, 200)
        for each in more:
            each.settimeout(HANGS_S)
            each.sendall(framed("web", 2))
    with worker.clock.held(4 * stream.SPARE_S):
        worker.clock.passes(2 * stream.SPARE_S)  # idle ones would have been closed
        assert counted(session)[counters.TCP_CONNECTIONS,] == stream.CONNECTIONS
    held.set()
    for each in more:
        assert replies(each, 1)[0].answer
        each.close()
    for each in links:
        assert replies(each, 1)[0].answer
        each.close()
    assert (counters.DROPPED, "tcp_limit") not in counted(session)


def test_an_address_of_a_programs_choice_has_a_limit_of_its_own(
    worker: Worker, ports: tuple[int, int]
) -> None:
    chosen = burst(ports, 30, "127.0.0.77")
    assert answered(chosen) == stream.A_SOURCE
    others = burst(ports, stream.A_SOURCE, "127.0.0.78")
    assert answered(others) == stream.A_SOURCE
    shared = burst(ports, 3 * stream.A_SOURCE)
    assert answered(shared) == 3 * stream.A_SOURCE
    session = worker.session()
    assert counted(session)[counters.TCP_REJECTED, "source"] == 30 - stream.A_SOURCE
    for each in (*chosen, *others, *shared):
        each.close()
    eventually(
        lambda: counted(session)[counters.TCP_CONNECTIONS,] == 0, 30, "their places are free"
    )
    again = burst(ports, 1, "127.0.0.77")
    assert answered(again) == 1
    again[0].close()


def test_a_sandbox_that_goes_ends_its_connections(worker: Worker, ports: tuple[int, int]) -> None:
    links = burst(ports, 5)
    assert answered(links) == 5
    session = worker.session()
    session.say(protocol.Gone("s"))
    session.apply(2)
    for each in links:
        each.settimeout(HANGS_S)
        each.recv(512)
        assert each.recv(1) == b""
        each.close()


def test_A8_62_a_slow_message_is_not_waited_for(worker: Worker, ports: tuple[int, int]) -> None:
    begin = worker.clock.now
    with worker.clock.held(stream.MESSAGE_S + 0.5), connected(ports) as link:
        link.sendall(framed("web", 1)[:5])
        assert link.recv(1) == b""
    assert worker.clock.now - begin > stream.MESSAGE_S - 0.5


@pytest.mark.parametrize("payload", [b"\0\0", b"\0\1x", b"\0\x0b" + b"x" * 11])
def test_A8_44_a_frame_too_short_for_a_header_ends_the_connection(
    ports: tuple[int, int], payload: bytes
) -> None:
    with connected(ports) as link:
        link.sendall(payload)
        assert link.recv(1) == b""
    assert ask(ports, "web", tcp=True).answer


def test_questions_in_pieces_are_whole_questions(ports: tuple[int, int]) -> None:
    with connected(ports) as link:
        for byte in framed("web", 7):
            link.sendall(bytes((byte,)))
        assert replies(link, 1)[0].id == 7


def test_a_client_that_says_all_and_waits_gets_its_answers(ports: tuple[int, int]) -> None:
    with connected(ports) as link:
        link.sendall(framed("www.example.org", 3) + framed("web", 4))
        link.shutdown(socket.SHUT_WR)
        assert {each.id for each in replies(link, 2)} == {3, 4}

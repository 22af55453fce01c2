"""Thousands of questions that wait at once, through a real worker."""

import socket
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.rcode

from resolver import counters, protocol
from resolver.listen import server
from resolver.message import wire
from tests.scenario.test_dns_forwarding import Make, good, mute, scripted
from tests.scenario.worker import HANGS_S, Session, Worker, ask
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's
CHUNK = 100  # datagrams that a socket's queue surely holds
EQUAL = 5000
RECORDS = [wire.POINTER + wire.record(wire.A, 300, bytes((192, 0, 2, at))) for at in range(150)]


def total(session: Session, name: str) -> float:
    """All that was counted under `name`."""
    session.say(protocol.Count())
    heard = session.hear()
    assert isinstance(heard, protocol.Counted)
    return sum(value for labels, value in heard.sums if labels[0] == name)


def question(number: int, name: str) -> bytes:
    query = dns.message.make_query(name, "A")
    query.id = number
    return query.to_wire()


def clients(stack: ExitStack, count: int) -> list[socket.socket]:
    """Sockets of which each can take `CHUNK` answers without being read."""
    links = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for each in links:
        stack.enter_context(each).settimeout(HANGS_S)
    return links


def all_wait(session: Session, ports: tuple[int, int], links: list[socket.socket]) -> None:
    """Each link asks the same question `CHUNK` times; returns when one is asked, the rest wait."""
    wire = question(0, "www.example.org")[2:]
    for at, link in enumerate(links):
        for number in range(CHUNK):
            link.sendto(number.to_bytes(2, "big") + wire, ("127.0.0.1", ports[0]))
        many = (at + 1) * CHUNK - 1
        eventually(
            lambda many=many: total(session, counters.COALESCED) >= many,  # type: ignore[misc]
            30,
            f"{many} questions wait for the first",
        )


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith("VmRSS:"))
    return int(found.split()[1]) / 1024


def test_A8_74_thousands_that_wait_cost_bounded_memory_and_no_burst_leaves(
    worker: Worker, scripted: Make
) -> None:
    session, upstream = worker.session(), scripted(mute)
    pid = worker.process.pid
    ports = session.serve("loud", names={}, upstreams=[upstream.server()])
    quiet = session.serve("quiet", names={}, upstreams=[scripted(good).server()])
    assert session.apply() == {}
    before = resident_mib(pid)
    with ExitStack() as stack:
        links = clients(stack, EQUAL // CHUNK)
        with session.clock.held():  # nobody gives up before the last has asked
            all_wait(session, ports, links)
        for number in range(2 * server.IN_FLIGHT):
            unlike = question(number, f"n{number}.example.org")
            links[0].sendto(unlike, ("127.0.0.1", ports[0]))
        assert resident_mib(pid) - before < 64
        assert total(session, counters.IN_FLIGHT) <= server.IN_FLIGHT
        [link] = clients(stack, 1)
        link.sendto(question(7, "www.example.net"), ("127.0.0.1", quiet[0]))
        reply = dns.message.from_wire(link.recv(4096))
        assert (reply.id, reply.rcode()) == (7, dns.rcode.NOERROR)
        eventually(lambda: total(session, counters.IN_FLIGHT) == 0, 30, "all have given up")
        assert len(upstream.heard) <= 3 * (1 + 2 * server.IN_FLIGHT)  # tries, and nothing beside
    assert resident_mib(pid) - before < 64


def test_who_asks_what_nobody_answers_takes_the_places_of_nobody(
    worker: Worker, scripted: Make
) -> None:
    """Five sandboxes want more places than there are; a sixth one has its answers all the same."""
    session, black = worker.session(), scripted(mute)
    loud = [
        session.serve(f"loud{number}", names={}, upstreams=[black.server()]) for number in range(5)
    ]
    calm = session.serve("calm", names={}, upstreams=[scripted(good).server()])
    assert session.apply() == {}
    with ExitStack() as stack:
        links = clients(stack, len(loud))
        stack.enter_context(session.clock.held())  # none of them gives up
        for at, (link, ports) in enumerate(zip(links, loud, strict=True)):
            for number in range(server.IN_FLIGHT):
                link.sendto(question(number, f"n{at}x{number}.test"), ("127.0.0.1", ports[0]))
        eventually(
            lambda: total(session, counters.IN_FLIGHT) > len(loud[1:]) * server.IN_FLIGHT,
            30,
            "all places are taken and some wait",
        )
        [link] = clients(stack, 1)
        for number in range(20):
            link.sendto(question(number, f"m{number}.example.net"), ("127.0.0.1", calm[0]))
        replies = [dns.message.from_wire(link.recv(4096)) for _ in range(20)]
        assert {each.rcode() for each in replies} == {dns.rcode.NOERROR}


def crowded(query: dns.message.Message, stream: bool) -> bytes:
    """An answer of which a thousand fill the cache."""
    del stream
    asked = query.to_wire()
    end = wire.skip_name(asked, wire.HEADER) + 4
    counts = b"\0\1" + len(RECORDS).to_bytes(2, "big") + bytes(4)
    return asked[:2] + b"\x81\x80" + counts + asked[wire.HEADER : end] + b"".join(RECORDS)


def test_who_asks_for_thousands_of_names_empties_the_cache_of_nobody(
    worker: Worker, scripted: Make
) -> None:
    """A crawler, and who asks the same servers: what was fetched for these is there still."""
    session, upstream = worker.session(), scripted(crowded)
    calm, loud, other = (
        session.serve(name, names={}, upstreams=[upstream.server()])
        for name in ("calm", "loud", "other")
    )
    assert session.apply() == {}
    names = [f"n{number}.example.org." for number in range(30)]
    for each in names:
        ask(calm, each)
    with ExitStack() as stack:
        [link] = clients(stack, 1)
        for first in range(0, 1300, 50):
            for number in range(first, first + 50):
                link.sendto(question(number, f"m{number}.example.net"), ("127.0.0.1", loud[0]))
            for _ in range(50):
                link.recv(4096)
    assert total(session, counters.CACHE_EVICTED) > 100
    for each in names:  # by another one, for whom nothing is kept ready
        assert ask(other, each).answer
    assert sorted(upstream.names.count(each) for each in names) == [1] * len(names)

"""What a worker does when the kernel gives it no descriptors, and when its memory for answers is full."""

import contextlib
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from resolver import protocol
from resolver.message import reply, wire
from resolver.upstream import cache
from tests.scenario import worker as workers
from tests.scenario.test_dns_forwarding import Scripted, good, texts
from tests.scenario.worker import ask, running
from tests.support import eventually

MOST = 40  # descriptors of the worker
NAMES: protocol.Names = {wire.to_wire("web"): {wire.A: workers.address(wire.A, "10.0.0.9")}}


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    one = Scripted(good)
    yield one
    one.close()


def test_A8_88_without_descriptors_it_is_servfail_and_then_as_before(
    tmp_path: Path, upstream: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({MOST}, {MOST}))\n"
    monkeypatch.setattr(workers, "LAUNCH", limited + workers.LAUNCH)
    with running(tmp_path) as worker:
        session = worker.session()
        ports = session.serve(names=NAMES, upstreams=[upstream.server()])
        session.apply()
        assert texts(ask(ports, "one.example.org")) == {"192.0.2.9"}
        with contextlib.ExitStack() as open_ones:
            for _ in range(MOST):
                link = socket.create_connection(("127.0.0.1", ports[1]), 5)
                open_ones.enter_context(link)
            held = Path(f"/proc/{worker.process.pid}/fd")
            # One that it was born with may be numbered beyond the limit.
            eventually(lambda: len([*held.iterdir()]) >= MOST, 5, "all descriptors are taken")
            assert ask(ports, "two.example.org").rcode() == dns.rcode.SERVFAIL
            assert texts(ask(ports, "web")) == {"10.0.0.9"}
            # Connections wait for which there is no descriptor: that must not keep it busy.
            assert cpu_s(worker.process.pid, 1.0) < 0.5
        assert texts(ask(ports, "web", tcp=True)) == {"10.0.0.9"}
        deadline = time.monotonic() + 15  # connections end, and a failure is remembered for 5 s
        while ask(ports, "two.example.org").rcode() == dns.rcode.SERVFAIL:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_A8_77_ten_times_what_fits_leaves_the_bounds_and_the_hot_names() -> None:
    """A hundred names that are asked again and again stay, whatever comes by once."""
    kept = cache.Cache()
    chance = random.Random(7)
    query = dns.message.make_query("a.example", "A")
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text("a.example.", 300, "IN", "A", "192.0.2.1"))
    found = reply.read(answer.to_wire(), len(query.to_wire()), dnssec=False)
    assert found is not None
    hot = [key(f"hot{number}") for number in range(100)]
    hits = asked = 0
    for number in range(10 * cache.ENTRIES):
        kept.put(key(f"r{chance.getrandbits(64):x}"), found, 0.0)
        if number % 20 == 0:
            one = hot[asked % 100]
            asked += 1
            if kept.get(one, 0.0):
                hits += 1
            else:
                kept.put(one, found, 0.0)
    assert hits / asked >= 0.95
    assert sum(kept.kinds.values()) <= cache.ENTRIES
    assert kept.bytes <= cache.BYTES


def cpu_s(pid: int, seconds: float) -> float:
    """What the process uses of a processor in so many seconds."""

    def used() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = used()
    time.sleep(seconds)
    return (used() - before) / os.sysconf("SC_CLK_TCK")


def key(name: str) -> cache.Key:
    return cache.Key(((), ""), wire.to_wire(name), wire.A, wire.IN, 0)

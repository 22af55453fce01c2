"""What a worker does when the kernel gives it no descriptors, and when its memory for answers is full."""

import contextlib
import os
import random
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rcode
import msgspec
import pytest

from resolver import counters, protocol
from resolver.listen import stream
from resolver.message import reply, wire
from resolver.upstream import cache, lines
from tests.scenario import worker as workers
from tests.scenario.test_dns_forwarding import Scripted, good, texts
from tests.scenario.worker import HANGS_S, Upstream, Worker, ask, running
from tests.support import eventually

MOST = 40  # descriptors of the worker
NAMES: protocol.Names = {wire.to_wire("web"): {wire.A: workers.address(wire.A, "10.0.0.9")}}


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has no more than MOST descriptors."""
    limited = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({MOST}, {MOST}))\n"
    monkeypatch.setattr(workers, "LAUNCH", limited + workers.LAUNCH)


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    one = Scripted(good)
    yield one
    one.close()


@pytest.mark.usefixtures("scarce")
def test_A8_88_without_descriptors_it_is_servfail_and_then_as_before(
    tmp_path: Path, upstream: Scripted
) -> None:
    with running(tmp_path) as worker:
        session = worker.session()
        ports = session.serve(names=NAMES, upstreams=[upstream.server()])
        session.apply()
        assert texts(ask(ports, "one.example.org")) == {"192.0.2.9"}
        # None of them is idle for too long.
        with worker.clock.held(stream.IDLE_S - 1), contextlib.ExitStack() as open_ones:
            for _ in range(MOST):
                link = socket.create_connection(("127.0.0.1", ports[1]), HANGS_S)
                open_ones.enter_context(link)
            held = Path(f"/proc/{worker.process.pid}/fd")
            # One that it was born with may be numbered beyond the limit.
            eventually(lambda: len([*held.iterdir()]) >= MOST, 30, "all descriptors are taken")
            assert ask(ports, "two.example.org").rcode() == dns.rcode.SERVFAIL
            assert texts(ask(ports, "web")) == {"10.0.0.9"}
            # Connections wait for which there is no descriptor: that must not keep it busy.
            assert cpu_s(worker.process.pid, 1.0) < 0.5
            told = sorted(session.notes())
            assert [each.split(":")[0] for each in told] == [
                "no TCP client is accepted now",
                "no socket to ask an upstream with",
            ]
            session.say(protocol.Count())
            counted = session.hear()
            assert isinstance(counted, protocol.Counted)
            failures = {at[2] for at, _ in counted.sums if at[0] == counters.UPSTREAM_FAILURES}
            assert failures == {"short"}
            session.say(protocol.ListUpstreams(0))
            listed = session.hear()
            assert isinstance(listed, protocol.UpstreamsListed)
            assert [(each.state, each.silent) for each in listed.rows] == [("up", 0)]
        assert texts(ask(ports, "web", tcp=True)) == {"10.0.0.9"}
        eventually(lambda: texts(ask(ports, "two.example.org")), 30, "connections end")


@pytest.mark.usefixtures("scarce")
def test_A8_88_who_wants_more_sockets_than_there_are_keeps_nobody_else_from_names(
    tmp_path: Path, upstream: Scripted
) -> None:
    with running(tmp_path) as worker:
        session = worker.session()
        calm = session.serve("calm", names=NAMES)
        assert session.apply() == {}
        upstreams = [upstream.server()]
        some = session.serve("some", names=NAMES, upstreams=upstreams, inside=15)
        problems = session.apply(2)
        assert problems.keys() == {"some"}
        assert re.fullmatch(
            rf"only \d+ of its 30 sockets found room .* may have {MOST} files open .*",
            problems["some"],
        )
        assert texts(ask(some, "web")) == {"10.0.0.9"}  # on those that came
        session.serve("none", names=NAMES)
        assert session.apply(3).keys() == {"none"}
        session.table("net", {wire.to_wire("new"): NAMES[wire.to_wire("web")]}, "e")
        assert session.apply(4) == {}
        for ports in (calm, some):
            assert texts(ask(ports, "new")) == {"10.0.0.9"}
        session.say(protocol.Gone("some"))
        assert session.apply(5) == {}
        later = session.serve("none", names=NAMES)
        assert session.apply(6) == {}
        assert texts(ask(later, "web")) == {"10.0.0.9"}


def test_former_listeners_answer_until_nobody_is_led_to_them(tmp_path: Path) -> None:
    with running(tmp_path) as worker:
        session = worker.session()
        held = Path(f"/proc/{worker.process.pid}/fd")
        former = session.serve("s", names=NAMES)
        assert session.apply() == {}
        count = len([*held.iterdir()])
        newest = session.serve("s")
        session.table("net", NAMES | {wire.to_wire("new"): NAMES[wire.to_wire("web")]}, "e")
        session.view("s", ["net"])
        assert session.apply(2) == {}
        for ports in (former, newest):
            for name in ("web", "new"):
                assert texts(ask(ports, name)) == texts(ask(ports, name, tcp=True)) == {"10.0.0.9"}
        session.say(protocol.Led("s"))
        assert session.apply(3) == {}
        with pytest.raises(OSError, match="refused"):
            ask(former, "web", tcp=True)
        assert texts(ask(newest, "web")) == {"10.0.0.9"}
        eventually(lambda: len([*held.iterdir()]) == count, 30, "only what serves is left")


@pytest.mark.usefixtures("scarce")
def test_listeners_of_which_not_all_came_take_no_place_of_those(tmp_path: Path) -> None:
    with running(tmp_path) as worker:
        session = worker.session()
        ports = session.serve("s", names=NAMES)
        assert session.apply() == {}
        session.lend("hungry", MOST // 2)
        assert session.apply(2).keys() == {"hungry"}
        session.serve("s", names=NAMES)
        session.say(protocol.Apply(3))
        applied = session.hear()
        assert isinstance(applied, protocol.Applied)
        assert "found room" in applied.problems["s"]
        assert applied.listeners == {"s": protocol.Listening(7, *ports)}
        assert texts(ask(ports, "web")) == {"10.0.0.9"}


@pytest.mark.parametrize("has_some", [True, False])
@pytest.mark.usefixtures("scarce")
def test_fewer_sockets_towards_upstreams_than_there_are_take_no_place_of_those(
    tmp_path: Path, upstream: Scripted, has_some: bool
) -> None:
    with running(tmp_path) as worker:
        session = worker.session()
        asked = [msgspec.structs.replace(upstream.server(), inside=True)]
        ports = session.serve("s", names=NAMES, upstreams=asked, inside=10 * has_some)
        assert session.apply() == {}
        session.lend("s", 15)
        assert "found room" in session.apply(2)["s"]
        assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}
        if has_some:  # otherwise there is no room for another conversation
            reach = {protocol.Family.IPV4: protocol.Outward(7, 10, 10)}
            assert worker.session().inventory.outward == {"s": reach}


def test_sockets_towards_upstreams_come_and_go_beside_the_listeners(
    worker: Worker, upstream: Scripted
) -> None:
    """Whoever is connected is so all the while."""
    session = worker.session()
    asked = [msgspec.structs.replace(upstream.server(), inside=True)]
    ports = session.serve("s", names=NAMES, upstreams=asked)
    assert session.apply() == {}
    with socket.create_connection(("127.0.0.1", ports[1]), HANGS_S) as stub:
        for number in range(3):
            nobody = dns.message.make_query(f"a{number}.example.org", "A")
            dns.query.send_tcp(stub, nobody.to_wire())
            assert dns.query.receive_tcp(stub)[0].rcode() == dns.rcode.SERVFAIL
            session.lend("s")
            assert session.apply(2) == {}
            somebody = dns.message.make_query(f"b{number}.example.org", "A")
            dns.query.send_tcp(stub, somebody.to_wire())
            assert texts(dns.query.receive_tcp(stub)[0]) == {"192.0.2.9"}
            session.lend("s", 0)
            assert session.apply(3) == {}
            assert worker.session().inventory.outward == {}
            session = worker.session()


class Together(Upstream):
    """Answers nobody until `many` names were asked, then whoever asked and asks."""

    def __init__(self, many: int) -> None:
        self.many = many
        self.asked: set[dns.name.Name] = set()
        self.waiting: list[tuple[bytes, int]] = []
        super().__init__()

    def reply(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        said, name = good(query, stream), query.question[0].name
        if name == dns.name.root:  # a question of the resolver's own
            return said
        self.asked.add(name)
        self.waiting.append((said, self.heard[-1][1]))
        if len(self.asked) >= self.many:
            for each, port in self.waiting:
                self.udp.sendto(each, ("127.0.0.1", port))
            self.waiting.clear()
        return None


def test_U17_two_hundred_questions_at_once_from_inside_a_sandbox(tmp_path: Path) -> None:
    """None of them waits for the answer to another one."""
    many = 200
    upstream = Together(many)
    with running(tmp_path) as worker, contextlib.closing(upstream):
        session = worker.session()
        server = protocol.Upstream("127.0.0.1", upstream.port, inside=True)
        ports = session.serve(upstreams=[server], inside=8)
        session.apply()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            link.settimeout(HANGS_S)
            with worker.clock.held():
                replies = _asked_at_once(link, ports[0], many)
        assert {each.rcode() for each in replies} == {dns.rcode.NOERROR}
        assert len({each.question[0].name for each in replies}) == many
        assert len({port for _, port in upstream.heard}) == 2  # a quarter of its sockets


def silent_zones(
    open_ones: contextlib.ExitStack, count: int
) -> dict[bytes, list[protocol.Upstream]]:
    """Zones `z0.example` …, each with a server of its own that never answers."""
    zones: dict[bytes, list[protocol.Upstream]] = {}
    for number in range(count):
        link = open_ones.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        link.bind(("127.0.0.1", 0))
        server = protocol.Upstream("127.0.0.1", link.getsockname()[1], inside=True)
        zones[wire.to_wire(f"z{number}.example")] = [server]
    return zones


def test_silent_zones_leave_the_live_ones_a_socket(tmp_path: Path, upstream: Scripted) -> None:
    with running(tmp_path) as worker, contextlib.ExitStack() as open_ones:
        session = worker.session()
        zones = silent_zones(open_ones, 12)
        ports = session.serve(inside=8)
        live = [protocol.Upstream("127.0.0.1", upstream.port, inside=True)]
        session.say(protocol.View("s", "v", [], [], {}, live, routes=zones))
        assert session.apply() == {}
        stub = open_ones.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for number in range(12):
            query = dns.message.make_query(f"www.z{number}.example", "A")
            stub.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
        for number in range(20):
            assert texts(ask(ports, f"n{number}.example.org")) == {"192.0.2.9"}


def test_a_burst_is_answered_while_silent_servers_hold_the_sockets(
    tmp_path: Path,
) -> None:
    """More questions at once than have room: they wait for the answers to the others."""
    many, upstream = 2 * lines.SHARE, Together(lines.SHARE)
    with running(tmp_path) as worker, contextlib.ExitStack() as open_ones:
        open_ones.enter_context(contextlib.closing(upstream))
        session = worker.session()
        zones = silent_zones(open_ones, 8)
        ports = session.serve(inside=8)
        live = [protocol.Upstream("127.0.0.1", upstream.port, inside=True)]
        session.say(protocol.View("s", "v", [], [], {}, live, routes=zones))
        assert session.apply() == {}
        stub = open_ones.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for number in range(8):
            query = dns.message.make_query(f"www.z{number}.example", "A")
            stub.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
        link = open_ones.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        link.settimeout(HANGS_S)
        with worker.clock.held():
            replies = _asked_at_once(link, ports[0], many)
        assert {each.rcode() for each in replies} == {dns.rcode.NOERROR}
        assert len({port for _, port in upstream.heard}) == 1


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


def _asked_at_once(link: socket.socket, port: int, many: int) -> list[dns.message.Message]:
    """The replies to `many` questions, each for another name."""
    for number in range(many):
        query = dns.message.make_query(f"n{number}.example.org", "A")
        link.sendto(query.to_wire(), ("127.0.0.1", port))
    return [dns.message.from_wire(link.recv(4096)) for _ in range(many)]

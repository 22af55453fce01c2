"""The worker process as a whole: told what to serve over its socket, asked over real sockets."""

import random
import socket
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from resolver import alike, protocol
from resolver.message import wire
from tests.scenario.worker import Upstream, Worker, address, ask, over_udp

NAMES: protocol.Names = {
    wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.2")},
    wire.to_wire("many"): {wire.A: address(wire.A, *(f"10.1.1.{n}" for n in range(200)))},
}


class Answers(Upstream):
    """One A record; `cut` makes the UDP reply say TC, `silent` says nothing."""

    def __init__(self, *, cut: bool = False, silent: bool = False) -> None:
        self.cut, self.silent = cut, silent
        super().__init__()

    def reply(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        if self.silent:
            return None
        answer = dns.message.make_response(query)
        if self.cut and not stream:
            answer.flags |= dns.flags.TC
        else:
            name = query.question[0].name
            answer.answer.append(dns.rrset.from_text(name, 300, "IN", "A", "192.0.2.9"))
        return answer.to_wire()

    def server(self, *, inside: bool = False) -> protocol.Upstream:
        return protocol.Upstream("127.0.0.1", self.port, inside)


def texts(reply: dns.message.Message) -> set[str]:
    return {item.to_text() for rrset in reply.answer for item in rrset}


def test_A8_01_an_owned_name_answers_on_both_transports(worker: Worker) -> None:
    session = worker.session()
    ports = session.serve(names=NAMES)
    assert session.apply() == {}
    for tcp in (False, True):
        reply = ask(ports, "WeB", tcp=tcp)
        assert texts(reply) == {"10.1.0.2"}
        assert reply.flags & dns.flags.AA
        assert reply.flags & dns.flags.RA
        assert reply.question[0].name.to_text() == "WeB."


def test_A8_04_known_name_other_type_is_nodata(worker: Worker) -> None:
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.apply()
    for kind in ("AAAA", "MX", "TXT", "HTTPS", "TYPE65280"):
        reply = ask(ports, "web", kind)
        assert reply.rcode() == dns.rcode.NOERROR
        assert not reply.answer


def test_A8_10_a_long_answer_is_cut_to_whole_records_and_whole_over_tcp(worker: Worker) -> None:
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.apply()
    short = ask(ports, "many")
    assert short.flags & dns.flags.TC
    assert 20 <= len(texts(short)) < 200
    assert len(texts(ask(ports, "many", tcp=True))) == 200


def test_the_inventory_survives_the_conversation(worker: Worker) -> None:
    first = worker.session()
    assert first.inventory.tables == {}
    ports = first.serve(names=NAMES)
    first.apply(41)
    first.link.close()
    assert texts(ask(ports, "web")) == {"10.1.0.2"}
    second = worker.session()
    assert second.inventory.revision == 41
    assert second.inventory.tables == {"net": "d"}
    assert second.inventory.views == {"s": "v"}
    assert second.inventory.listeners["s"].udp_port == ports[0]
    second.table("net", {wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.3")}}, "e")
    assert texts(ask(ports, "web")) == {"10.1.0.2"}  # staged is not served
    second.apply(42)
    assert texts(ask(ports, "web")) == {"10.1.0.3"}


def test_a_removed_sandbox_is_not_served_any_more(worker: Worker) -> None:
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.apply()
    session.say(protocol.Gone("s"))
    session.apply(2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports[1]), 5)


def test_a_change_reaches_every_sandbox_with_the_table(worker: Worker) -> None:
    session = worker.session()
    ports = session.serve("one", names=NAMES), session.serve("two", names=NAMES)
    session.apply()
    assert [texts(ask(each, "web")) for each in ports] == [{"10.1.0.2"}] * 2
    put = {
        wire.to_wire("web"): {wire.A: address(wire.A, "10.1.0.3")},
        wire.to_wire("new"): {wire.A: address(wire.A, "10.1.0.4")},
    }
    session.say(
        protocol.TableChange("net", "d", "e", list(alike.groups(put)), [wire.to_wire("many")])
    )
    assert [texts(ask(each, "web")) for each in ports] == [{"10.1.0.2"}] * 2
    session.apply(2)
    for each in ports:
        assert texts(ask(each, "web")) == {"10.1.0.3"}
        assert texts(ask(each, "new")) == {"10.1.0.4"}
        assert not ask(each, "many").answer
    assert worker.session().inventory.tables == {"net": "e"}


def test_changes_follow_each_other_and_those_never_applied_change_nothing(worker: Worker) -> None:
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.apply()
    web, new = wire.to_wire("web"), wire.to_wire("new")
    one, two = (
        {each: {wire.A: address(wire.A, f"10.1.0.{last}")}} for each, last in ((new, 3), (web, 4))
    )
    session.say(protocol.TableChange("net", "d", "e", list(alike.groups(one)), []))
    session.link.close()
    session = worker.session()
    assert session.inventory.tables == {"net": "d"}
    assert not ask(ports, "new").answer
    session.say(protocol.TableChange("net", "d", "e", list(alike.groups(one)), []))
    session.say(protocol.TableChange("net", "e", "f", list(alike.groups(two)), [new]))
    session.apply(2)
    assert texts(ask(ports, "web")) == {"10.1.0.4"}
    assert not ask(ports, "new").answer
    assert worker.session().inventory.tables == {"net": "f"}


def test_a_change_of_another_table_ends_the_conversation_only(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.apply()
    session.say(protocol.TableChange("net", "not d", "e", [], [wire.to_wire("web")]))
    assert session.link.recv(1) == b""
    assert texts(ask(ports, "web")) == {"10.1.0.2"}
    assert worker.session().inventory.tables == {"net": "d"}
    assert "do not understand" in worker.stop()


@pytest.mark.parametrize(
    ("tables", "words"), [([], "on no network"), (["net"], "no upstream server is known")]
)
def test_who_can_ask_nobody_is_told_why(worker: Worker, tables: list[str], words: str) -> None:
    """A sandbox that left all its networks is not told that the host has no servers."""
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.view("s", tables)
    session.apply()
    query = dns.message.make_query("www.example.org", "A", use_edns=0)
    reply = over_udp(query, ports)
    assert reply.rcode() == dns.rcode.SERVFAIL
    (why,) = reply.extended_errors()
    assert int(why.code) == 14
    assert words in str(why.text)
    session.say(protocol.Explain("s", wire.to_wire("www.example.org"), wire.A))
    explained = session.hear()
    assert isinstance(explained, protocol.Explained)
    assert words in explained.steps[-1].text


@pytest.mark.parametrize("sealed", [False, True])
def test_A8_25_without_an_upstream_a_foreign_name_is_servfail_unless_by_policy(
    worker: Worker, sealed: bool
) -> None:
    """After SERVFAIL musl would ask again for 5 s. No SOA: nobody may remember it."""
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.view("s", ["net"], sealed=sealed)
    session.apply()
    query = dns.message.make_query("example.org", "A", use_edns=0)
    for _ in range(2):
        reply = over_udp(query, ports)
        (why,) = reply.extended_errors()
        said = (reply.rcode(), reply.authority, int(why.code))
        assert said == ((dns.rcode.NXDOMAIN, [], 0) if sealed else (dns.rcode.SERVFAIL, [], 14))
        assert ("all its networks are internal" in str(why.text)) == sealed


def test_a_foreign_name_is_forwarded_and_remembered(worker: Worker) -> None:
    upstream = Answers()
    session = worker.session()
    ports = session.serve(names=NAMES, upstreams=[upstream.server()])
    session.apply()
    for _ in range(3):
        reply = ask(ports, "www.example.org")
        assert texts(reply) == {"192.0.2.9"}
        assert not reply.flags & dns.flags.AA
    assert len(upstream.heard) == 1
    upstream.close()


def test_a_truncated_reply_is_fetched_over_tcp(worker: Worker) -> None:
    upstream = Answers(cut=True)
    session = worker.session()
    ports = session.serve(names=NAMES, upstreams=[upstream.server()])
    session.apply()
    assert texts(ask(ports, "www.example.org")) == {"192.0.2.9"}
    assert [transport for transport, _ in upstream.heard] == ["udp", "tcp"]
    upstream.close()


def test_A8_51_lent_sockets_have_a_fresh_port_for_every_question(worker: Worker) -> None:
    upstream = Answers(cut=True)
    session = worker.session()
    ports = session.serve(names=NAMES, upstreams=[upstream.server(inside=True)], inside=1)
    session.apply()
    for number in range(12):
        assert texts(ask(ports, f"w{number}.example.org")) == {"192.0.2.9"}
    seen = {port for transport, port in upstream.heard if transport == "udp"}
    assert len(seen) > 6
    assert len(upstream.heard) == 24
    upstream.close()


def test_C19_a_silent_upstream_is_passed_over_and_then_left_alone(worker: Worker) -> None:
    silent, answers = Answers(silent=True), Answers()
    session = worker.session()
    ports = session.serve(names=NAMES, upstreams=[silent.server(), answers.server()])
    session.apply()
    number, before = 0, -1
    while len(silent.heard) != before:  # it is asked until it was silent three times in a row
        before, number = len(silent.heard), number + 50
        for at in range(number, number + 50):
            assert texts(ask(ports, f"n{at}.example.org")) == {"192.0.2.9"}
        assert number < 5000
    silent.close()
    answers.close()


def test_C10_A8_49_random_datagrams_and_streams_change_nothing(worker: Worker) -> None:
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.apply()
    chance = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        for _ in range(20_000):
            link.sendto(chance.randbytes(chance.randrange(120)), ("127.0.0.1", ports[0]))
    for payload in (
        b"",
        b"\0",
        b"\0\1",
        b"\0\0",
        b"\xff\xff" + b"a" * 99,
        b"\0\x0c" + b"\xc0" * 12,
    ):
        with socket.create_connection(("127.0.0.1", ports[1]), 5) as stream:
            stream.sendall(payload)
    assert texts(ask(ports, "web")) == {"10.1.0.2"}
    assert texts(ask(ports, "web", tcp=True)) == {"10.1.0.2"}


def test_counters_add_up(worker: Worker) -> None:
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.apply()
    for _ in range(10):
        ask(ports, "web")
    session.say(protocol.Count())
    counted = session.hear()
    assert isinstance(counted, protocol.Counted)
    sums = {tuple(key): value for key, value in counted.sums}
    assert sums["sdd_dns_requests_total", "net", "udp", "ipv4", "A"] == 10
    assert sums["sdd_dns_responses_total", "net", "NOERROR", "owned"] == 10


def test_it_holds_no_privilege(worker: Worker) -> None:
    worker.session()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert status["CapEff"] == status["CapPrm"] == status["CapInh"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    assert "0" not in status["Uid"].split()
    assert status["Groups"].strip() == ""


def test_a_word_it_does_not_know_ends_the_conversation_only(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    session = worker.session()
    ports = session.serve(names=NAMES)
    session.apply()
    session.link.send(b"\xc1 nonsense")
    assert session.link.recv(10) == b""
    assert texts(ask(ports, "web")) == {"10.1.0.2"}
    worker.session()
    assert "do not understand" in worker.stop()


def test_a_worker_that_serves_nobody_ends_with_its_sdd(tmp_path: Path) -> None:
    one = Worker(tmp_path, "--linger", "0.2")
    session = one.session()
    session.serve(names=NAMES)
    session.apply()
    session.say(protocol.Gone("s"))
    session.apply(2)
    assert one.process.poll() is None
    session.link.close()
    assert one.ended() == ""


def test_A8_86_a_worker_that_serves_somebody_outlives_its_sdd(tmp_path: Path) -> None:
    one = Worker(tmp_path, "--linger", "0.01")
    session = one.session()
    ports = session.serve(names=NAMES)
    session.apply()
    session.link.close()
    for tcp in (False, True):  # each takes longer than it lingers
        assert texts(ask(ports, "web", tcp=tcp)) == {"10.1.0.2"}
    again = one.session()
    assert set(again.inventory.listeners) == {"s"}
    assert one.stop() == ""


def test_a_worker_whose_control_socket_was_removed_ends_with_its_sdd(tmp_path: Path) -> None:
    one = Worker(tmp_path, "--linger", "0.2")
    session = one.session()
    session.serve(names=NAMES)
    session.apply()
    one.path.unlink()
    session.link.close()
    assert one.ended() == ""


def test_what_the_cache_knew_and_how_long_answers_took_is_counted_also_when_given_again(
    worker: Worker,
) -> None:
    upstream = Answers()
    session = worker.session()
    ports = session.serve(names=NAMES, upstreams=[upstream.server()])
    alone = session.serve("alone")
    session.apply()
    for _ in range(4):  # the second one is made anew, those after it are given as they are
        ask(ports, "www.example.org")
        ask(ports, "web")
        ask(alone, "www.example.org")
    session.say(protocol.Count())
    counted = session.hear()
    assert isinstance(counted, protocol.Counted)
    sums = {tuple(key): value for key, value in counted.sums}
    assert sums["sdd_dns_cache_requests_total",] == 4
    assert sums["sdd_dns_cache_hits_total", "success"] == 3
    took = "sdd_dns_request_duration_seconds"
    assert sums[took, "owned", "+Inf"] == 4
    assert sums[took, "cache", "+Inf"] == 3
    assert sums[took, "upstream", "+Inf"] == 1
    assert sums[took, "policy", "+Inf"] == 4
    assert sums["sdd_dns_responses_total", "", "SERVFAIL", "policy"] == 4
    upstream.close()

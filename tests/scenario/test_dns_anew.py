"""A question that is under way while its sandbox gets other servers, sockets or listeners."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.rcode
import msgspec
import pytest

from resolver import protocol
from resolver.message import wire
from resolver.upstream import flights
from tests.scenario.test_dns_faults import held
from tests.scenario.test_dns_forwarding import (
    Make,
    Scripted,
    explanations,
    failing,
    good,
    mute,
    scripted,
    served,
    texts,
)
from tests.scenario.test_dns_own_questions import rows
from tests.scenario.worker import HANGS_S, Session
from tests.support import eventually

__all__ = ["scripted"]  # a fixture of the neighbour's
NO_WAY = protocol.Upstream("255.255.255.255", 5301, inside=True)  # the kernel: EACCES
SOON_S = 0.4  # of the worker: before anybody would be asked again by himself


def inside(server: Scripted) -> protocol.Upstream:
    return msgspec.structs.replace(server.server(), inside=True)


@contextlib.contextmanager
def asking(ports: tuple[int, int], name: str = "www.example.org") -> Iterator[socket.socket]:
    """Asked, and not heard yet."""
    query = dns.message.make_query(name, "A", use_edns=0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(HANGS_S)
        link.sendto(query.to_wire(), ("127.0.0.1", ports[0]))
        yield link


def heard(link: socket.socket) -> dns.message.Message:
    return dns.message.from_wire(link.recv(4096))


@pytest.mark.parametrize("sealed", [False, True])
def test_who_gets_servers_of_his_own_has_them_asked_at_once(
    session: Session, scripted: Make, sealed: bool
) -> None:
    """CVE-2024-29018: where all networks are internal by now the host's are asked no more."""
    gate = threading.Event()
    hosts, own = scripted(held(gate)), scripted(good)
    with asking(served(session, hosts)) as link:
        eventually(lambda: hosts.heard, 30, "the question is under way")
        session.view("s", [], [inside(own)], sealed=sealed)
        session.lend("s")
        with session.clock.held(SOON_S):
            assert session.apply(2) == {}
            assert texts(heard(link)) == {"192.0.2.9"}
        assert own.heard
        gate.set()
        session.clock.passes(2.0)  # past the first try's time
        link.setblocking(False)
        with pytest.raises(BlockingIOError):
            link.recv(4096)
        assert hosts.names == ["www.example.org."]


def cut(query: dns.message.Message) -> bytes:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.flags |= dns.flags.TC
    return answer.to_wire()


STEPS: dict[str, Callable[[dns.message.Message], bytes]] = {
    "over TCP": cut,
    "without EDNS": lambda query: failing(query, dns.rcode.FORMERR),
}


@pytest.mark.parametrize("step", STEPS)
def test_A8_22_what_the_hosts_server_says_after_the_seal_leads_to_no_further_step(
    session: Session, scripted: Make, step: str
) -> None:
    """CVE-2024-29018: it was asked before; it is not asked again to get the whole."""
    gate = threading.Event()

    def half(query: dns.message.Message, stream: bool) -> bytes:
        gate.wait(HANGS_S)
        return good(query, stream) if stream or query.edns < 0 else STEPS[step](query)

    silent, hosts, own = scripted(mute), scripted(half), scripted(good)
    with asking(served(session, silent, hosts)) as link:
        eventually(lambda: hosts.heard, 30, "the second server is asked beside the first")
        session.view("s", [], [inside(own)], sealed=True)
        session.lend("s")
        assert session.apply(2) == {}
        assert texts(heard(link)) == {"192.0.2.9"}
        gate.set()
        eventually(lambda: rows(session)[hosts.port].error, 30, "its reply came to nothing")
    assert {kind for kind, _ in hosts.heard} == {"udp"}
    assert hosts.names == ["www.example.org."]


def test_a_sealed_sandbox_has_the_hosts_servers_asked_under_no_view(
    session: Session, scripted: Make
) -> None:
    """Whatever a view says: internal networks alone are enough."""
    own, hosts = scripted(mute), scripted(good)
    ports = session.serve(names={}, upstreams=[inside(own)], inside=2)
    assert session.apply() == {}
    with asking(ports) as link:
        eventually(lambda: own.heard, 30, "the question is under way")
        session.view("s", [], [hosts.server()], sealed=True)
        assert session.apply(2) == {}
        assert heard(link).rcode() == dns.rcode.SERVFAIL
        assert not hosts.heard


def test_who_loses_his_own_servers_has_the_hosts_asked_at_once(
    session: Session, scripted: Make
) -> None:
    own, hosts = scripted(mute), scripted(good)
    ports = session.serve(names={}, upstreams=[inside(own)], inside=2)
    assert session.apply() == {}
    with asking(ports) as link:
        eventually(lambda: own.heard, 30, "the question is under way")
        session.view("s", [], [hosts.server()])
        session.lend("s", 0)
        with session.clock.held(SOON_S):
            assert session.apply(2) == {}
            assert texts(heard(link)) == {"192.0.2.9"}


def test_a_link_that_goes_before_its_servers_fails_no_question(
    session: Session, scripted: Make
) -> None:
    hosts = scripted(good)
    ports = session.serve(names={}, upstreams=[NO_WAY], inside=2)
    assert session.apply() == {}
    with asking(ports) as link, asking(ports) as other:
        eventually(
            lambda: "unreachable" in rows(session)[NO_WAY.port].error, 30, "no way leads there"
        )
        session.view("s", [], [hosts.server()])
        session.lend("s", 0)
        assert session.apply(2) == {}
        for each in (link, other):
            assert texts(heard(each)) == {"192.0.2.9"}


def test_a_server_that_stays_unreachable_is_told_at_once(session: Session) -> None:
    """Only when it is news somebody waits for more of it."""
    ports = session.serve(names={}, upstreams=[NO_WAY], inside=2)
    assert session.apply() == {}
    with asking(ports) as link:
        reply = heard(link)
        assert (reply.rcode(), explanations(reply)) == (dns.rcode.SERVFAIL, [23])
    session.clock.passes(flights.CHANGE_S)  # it was news until then
    for number in range(3):
        with session.clock.held(SOON_S), asking(ports, f"n{number}.example.org") as link:
            assert explanations(heard(link)) == [23]


def test_sockets_that_come_after_the_question_ask_it(session: Session, scripted: Make) -> None:
    own = scripted(good)
    ports = session.serve(names={}, upstreams=[inside(own)])
    assert session.apply() == {}
    with asking(ports) as link:
        eventually(lambda: rows(session)[own.port].error, 30, "there is no socket")
        session.lend("s")
        assert session.apply(2) == {}
        assert texts(heard(link)) == {"192.0.2.9"}


def test_sockets_that_are_gone_are_told_as_such(session: Session, scripted: Make) -> None:
    own = scripted(good)
    ports = session.serve(names={}, upstreams=[inside(own)])
    assert session.apply() == {}
    with asking(ports) as link:
        reply = heard(link)
        assert "were just replaced" in str(reply.extended_errors()[0].text)
    assert rows(session)[own.port].error.startswith("replaced: ")
    session.lend("s")
    assert session.apply(2) == {}
    with asking(ports) as link:  # of the world nothing was learned
        assert texts(heard(link)) == {"192.0.2.9"}


def test_a_name_that_is_ours_by_now_is_asked_nobody(session: Session, scripted: Make) -> None:
    hosts, own = scripted(mute), scripted(good)
    ports = served(session, hosts)
    with asking(ports, "web") as link:
        eventually(lambda: hosts.heard, 30, "the question is under way")
        session.table("new", {wire.to_wire("web"): {wire.A: [wire.record(wire.A, 5, b"\n\0\0\1")]}})
        session.view("s", ["new"], [inside(own)])
        session.lend("s")
        assert session.apply(2) == {}
        reply = heard(link)
        assert "were just replaced" in str(reply.extended_errors()[0].text)
        assert not own.heard
    with asking(ports, "web") as link:
        assert texts(heard(link)) == {"10.0.0.1"}


def test_what_was_asked_of_former_listeners_is_answered_from_the_new_ones(
    session: Session, scripted: Make
) -> None:
    """Port 53 leads there by then, and a stub hears nobody else."""
    gate = threading.Event()
    hosts = scripted(held(gate))
    former = served(session, hosts)
    with asking(former) as link:
        eventually(lambda: hosts.heard, 30, "the question is under way")
        newest = session.serve(upstreams=[hosts.server()])
        assert session.apply(2) == {}
        session.say(protocol.Led("s"))
        assert session.apply(3) == {}
        gate.set()
        data, peer = link.recvfrom(4096)
        assert texts(dns.message.from_wire(data)) == {"192.0.2.9"}
        assert peer[1] == newest[0]

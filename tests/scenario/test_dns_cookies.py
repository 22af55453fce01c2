"""DNS cookies (RFC 7873) through a real worker: servers that have them, lack them, or insist."""

import hashlib

import dns.edns
import dns.message
import dns.rcode
import pytest

from resolver import protocol
from resolver.upstream import cookies
from tests.scenario.test_dns_forwarding import (
    Make,
    Scripted,
    address,
    good,
    scripted,
    served,
    texts,
)
from tests.scenario.worker import Session, ask

__all__ = ["scripted"]  # a fixture of the neighbour's


class Baker:
    """Has a cookie for each of a client's; `seen` are the sizes of those that came over UDP."""

    def __init__(self, *, insists: bool = False, forgets: bool = False) -> None:
        self.insists = insists
        self.forgets = forgets
        self.seen: list[int] = []

    def __call__(self, query: dns.message.Message, stream: bool) -> bytes:
        came = (each for each in query.options if isinstance(each, dns.edns.CookieOption))
        cookie = next(came, None)
        if not stream:
            self.seen.append(len(cookie.client + cookie.server) if cookie else 0)
        if cookie is None:
            return good(query, stream)
        salt = bytes((len(self.seen) if self.forgets else 0,))
        own = hashlib.blake2b(cookie.client, digest_size=16, salt=salt).digest()
        reply = dns.message.from_wire(address(query))
        reply.use_edns(0, options=[dns.edns.CookieOption(cookie.client, own)])
        if self.insists and cookie.server != own and not stream:
            reply.answer.clear()
            reply.set_rcode(dns.rcode.BADCOOKIE)
        return reply.to_wire()


def ways(server: Scripted) -> list[str]:
    return [way for way, _ in server.heard]


def suspects(session: Session) -> dict[str, float]:
    session.say(protocol.Count())
    counted = session.hear()
    assert isinstance(counted, protocol.Counted)
    name = "sdd_upstream_spoof_suspect_total"
    return {key[1]: value for key, value in counted.sums if key[0] == name}


def test_a_servers_cookie_comes_back_to_it(session: Session, scripted: Make) -> None:
    baker = Baker()
    ports = served(session, scripted(baker))
    for number in range(3):
        assert texts(ask(ports, f"n{number}.example.org")) == {"192.0.2.9"}
    assert baker.seen == [8, 24, 24]
    assert suspects(session) == {}


def test_a_server_that_insists_on_its_cookie_is_given_it(session: Session, scripted: Make) -> None:
    baker = Baker(insists=True)
    ports = served(session, scripted(baker))
    for number in range(2):
        assert texts(ask(ports, f"n{number}.example.org")) == {"192.0.2.9"}
    assert baker.seen == [8, 24, 24]


def test_several_that_insist_on_one_of_their_own_are_asked_over_tcp(
    session: Session, scripted: Make
) -> None:
    """As servers behind one address do that know nothing of each other's."""
    server = scripted(Baker(insists=True, forgets=True))
    assert texts(ask(served(session, server), "www.example.org")) == {"192.0.2.9"}
    assert ways(server) == ["udp", "udp", "tcp"]


@pytest.mark.parametrize("has_tcp", [True, False])
def test_A8_52_a_reply_without_the_cookie_is_asked_for_over_tcp(
    session: Session, scripted: Make, has_tcp: bool
) -> None:
    """Without TCP it is asked again, until the server is taken for one without cookies."""
    baker = Baker()

    def script(query: dns.message.Message, stream: bool) -> bytes:
        forged = address(query, text="6.6.6.6" if has_tcp else "192.0.2.9")
        if stream or not baker.seen:
            return baker(query, stream)
        return forged

    server = scripted(script)
    if not has_tcp:
        server.refuse_tcp()
    ports = served(session, server)
    for number in range(2):
        assert texts(ask(ports, f"n{number}.example.org")) == {"192.0.2.9"}
    lost = 1 if has_tcp else cookies.LOSSES
    assert ways(server) == (["udp", "udp", "tcp"] if has_tcp else ["udp"] * (2 + lost))
    assert suspects(session) == {"cookie": lost}


def test_one_that_passes_them_on_now_and_then_is_soon_asked_without(
    session: Session, scripted: Make
) -> None:
    """As a forwarder does that knows nothing of cookies and remembers answers."""
    baker = Baker()

    def script(query: dns.message.Message, stream: bool) -> bytes:
        is_old = "old" in query.question[0].name.to_text().lower()
        return good(query, stream) if is_old else baker(query, stream)

    server = scripted(script)
    ports = served(session, server)
    for number in range(10):
        for kind in ("new", "old"):
            with session.clock.held(0.5):  # nobody waits for a try
                assert texts(ask(ports, f"{kind}{number}.example.org")) == {"192.0.2.9"}
    assert ways(server).count("tcp") == cookies.LOSSES
    assert baker.seen[-1] == 0

"""What is said not to be there, at the end of aliases too, and for how long, by a real worker."""

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from tests.scenario.test_dns_forwarding import Make, scripted, served
from tests.scenario.worker import Session, ask
from tests.support import eventually

__all__ = ["scripted"]

NAME = "www.example.org."
END = "end.cdn.example."


def denied(
    query: dns.message.Message, rcode: dns.rcode.Rcode, alias_s: int, soa_s: int | None
) -> dns.message.Message:
    """Nothing of the type, or no name, at the end of an alias."""
    made = dns.message.make_response(query, recursion_available=True)
    made.set_rcode(rcode)
    made.answer.append(dns.rrset.from_text(NAME, alias_s, "IN", "CNAME", END))
    if soa_s is not None:
        soa = f"ns.cdn.example. who.cdn.example. 1 2 3 4 {soa_s}"
        made.authority.append(dns.rrset.from_text("cdn.example.", soa_s, "IN", "SOA", soa))
    return made


@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, dns.rcode.NXDOMAIN])
@pytest.mark.parametrize(("alias_s", "soa_s"), [(900, 1), (1, 900)])
def test_what_appears_behind_an_alias_is_seen_when_alias_or_soa_are_over(
    session: Session, scripted: Make, rcode: dns.rcode.Rcode, alias_s: int, soa_s: int
) -> None:
    """RFC 2308 §5: a CDN's name without IPv6 has an alias that lasts and an SOA that does not."""
    has_it = False

    def script(query: dns.message.Message, _: bool) -> bytes:
        made = denied(query, rcode, alias_s, soa_s)
        if has_it:
            made.set_rcode(dns.rcode.NOERROR)
            made.authority.clear()
            made.answer.append(dns.rrset.from_text(END, 60, "IN", "TXT", "here"))
        return made.to_wire()

    server = scripted(script)
    ports = served(session, server)
    with session.clock.held(0.5):  # of the second that it is good for
        first = ask(ports, NAME, "TXT")
        assert (first.rcode(), len(first.answer)) == (rcode, 1)
        assert [each.rdtype for each in first.authority] == [dns.rdatatype.SOA]
        again = ask(ports, NAME, "TXT")
        assert [each.rdtype for each in again.authority] == [dns.rdatatype.SOA]
        assert len(server.heard) == 1
    has_it = True
    eventually(lambda: len(ask(ports, NAME, "TXT").answer) == 2, 30, "nobody asked again")
    assert len(server.heard) == 2


def test_an_alias_alone_without_an_soa_is_remembered_by_nobody(
    session: Session, scripted: Make
) -> None:
    """RFC 2308 §5, and nothing tells how long it is so."""
    server = scripted(lambda query, _: denied(query, dns.rcode.NOERROR, 900, None).to_wire())
    ports = served(session, server)
    for count in (1, 2):
        assert not ask(ports, NAME, "TXT").authority
        assert len(server.heard) == count

"""Aliases of others that lead to names of ours."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from resolver import protocol
from resolver.message import reply, wire
from resolver.names import answer, chase, cut
from tests.unit.resolver.questions import a, data, scope

NAMES: protocol.Names = {
    wire.to_wire("web.net"): a("10.1.0.2", "10.1.0.3"),
    wire.to_wire("www.net"): {wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire("web.net"))]},
    wire.to_wire("out.net"): {wire.CNAME: [wire.record(wire.CNAME, 5, wire.to_wire("x.org"))]},
}
SCOPE = scope(NAMES)


def said(
    *answers: str,
    kind: str = "A",
    by: answer.Scope = SCOPE,
    rcode: int = 0,
    ttl_s: int | None = None,
) -> dns.message.Message:
    asked = data("www.example.org", kind, use_edns=0)
    made = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    made.set_rcode(dns.rcode.Rcode(rcode))
    for text in answers:
        owner, kind, rest = text.split(" ", 2)
        made.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, rest))
    parsed = wire.parse(asked)
    assert isinstance(parsed, wire.Query)
    found = reply.read(made.to_wire(), parsed.end, dnssec=False)
    assert found is not None
    assert cut.cuts(found, parsed, by) == (by is SCOPE)
    made_of = cut.for_client(found, asked, parsed, by, stream=False, aged_s=10, ttl_s=ttl_s)
    if isinstance(made_of, chase.Onward):  # nobody knows the rest
        unknown = reply.failure(made_of.message, made_of.end, dns.rcode.NXDOMAIN).image
        made_of = chase.joined(made_of, unknown, stream=False)
    return dns.message.from_wire(made_of)


def shown(message: dns.message.Message) -> list[str]:
    return [
        f"{each.name} {each.ttl} {item.rdtype.name} {item}"
        for each in message.answer
        for item in each
    ]


VIA = "www.example.org. CNAME cdn.example.org."


def test_A8_56_a_name_of_ours_is_told_by_us() -> None:
    told = said(VIA, "cdn.example.org. CNAME Web.net.", "web.net. A 6.6.6.6")
    assert shown(told)[:2] == [
        "www.example.org. 50 CNAME cdn.example.org.",
        "cdn.example.org. 50 CNAME Web.net.",
    ]
    assert set(shown(told)[2:]) == {"web.net. 5 A 10.1.0.2", "web.net. 5 A 10.1.0.3"}


def test_an_old_answer_is_cut_too() -> None:
    told = said("www.example.org. CNAME web.net.", "web.net. A 6.6.6.6", ttl_s=30)
    assert shown(told)[0] == "www.example.org. 30 CNAME web.net."
    assert "6.6.6.6" not in str(told)


def test_whoever_does_not_own_the_name_hears_what_the_server_said() -> None:
    other = answer.Scope.of(protocol.View("s", "", [], [], {}, []), [])
    told = said("www.example.org. CNAME web.net.", "web.net. A 192.0.2.6", by=other)
    assert "web.net. 50 A 192.0.2.6" in shown(told)


def test_aliases_of_ours_go_on_from_theirs() -> None:
    told = said("www.example.org. CNAME www.net.", "www.net. A 6.6.6.6")
    assert shown(told)[:2] == [
        "www.example.org. 50 CNAME www.net.",
        "www.net. 5 CNAME web.net.",
    ]
    assert len(shown(told)) == 4


def test_a_type_that_ours_does_not_have_is_nodata_by_our_zone() -> None:
    told = said("www.example.org. CNAME web.net.", "web.net. AAAA 2001:db8::6", kind="AAAA")
    assert told.rcode() == dns.rcode.NOERROR
    assert shown(told) == ["www.example.org. 50 CNAME web.net."]
    assert told.authority[0].name.to_text() == "net."


@pytest.mark.parametrize("rcode", [0, 3])
def test_what_is_missing_in_our_zone_is_nxdomain(rcode: int) -> None:
    told = said("www.example.org. CNAME gone.net.", rcode=rcode)
    assert told.rcode() == dns.rcode.NXDOMAIN
    assert shown(told) == ["www.example.org. 50 CNAME gone.net."]


def test_what_others_denied_is_there_when_it_is_ours() -> None:
    told = said("www.example.org. CNAME web.net.", rcode=3)
    assert told.rcode() == dns.rcode.NOERROR
    assert len(shown(told)) == 3


def test_who_asks_for_the_alias_itself_gets_it_alone() -> None:
    told = said("www.example.org. CNAME web.net.", "web.net. A 6.6.6.6", kind="CNAME")
    assert shown(told) == ["www.example.org. 50 CNAME web.net."]


def test_out_of_ours_again_is_asked_for_behind_all_aliases() -> None:
    told = said("www.example.org. CNAME out.net.", "out.net. A 6.6.6.6")
    assert told.rcode() == dns.rcode.NXDOMAIN
    assert shown(told) == ["www.example.org. 50 CNAME out.net.", "out.net. 5 CNAME x.org."]
    assert not told.flags & dns.flags.AA


def test_what_is_cut_can_be_told() -> None:
    asked = data("www.example.org", "A")
    made = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    made.answer += [
        dns.rrset.from_text("www.example.org.", 60, "IN", "CNAME", "out.net."),
        dns.rrset.from_text("out.net.", 60, "IN", "A", "6.6.6.6"),
        dns.rrset.from_text("evil.net.", 60, "IN", "A", "6.6.6.6"),
    ]
    parsed = wire.parse(asked)
    assert isinstance(parsed, wire.Query)
    found = reply.read(made.to_wire(), parsed.end, dnssec=False)
    assert found is not None
    assert found.dropped == 1
    told = cut.told(found, parsed, SCOPE)
    assert told == cut.Told(wire.to_wire("out.net"), 1, wire.to_wire("x.org"))
    assert cut.told(found, parsed, answer.Scope("s", (), frozenset(), ())) is None


@pytest.mark.parametrize(
    "name", ["srv1.corp.local.", "nas.home.arpa.", "srv1.", "5.32-63.0.0.10.in-addr.arpa."]
)
def test_names_that_are_only_not_asked_for_others_may_tell(name: str) -> None:
    by = scope(NAMES, keeps_single=True)
    told = said(f"www.example.org. CNAME {name}", f"{name} A 10.0.0.5", by=by)
    assert told.rcode() == dns.rcode.NOERROR
    assert shown(told)[1:] == [f"{name} 50 A 10.0.0.5"]


@pytest.mark.parametrize("name", ["localhost.", "db.localhost."])
def test_localhost_nobody_else_tells(name: str) -> None:
    told = said(f"www.example.org. CNAME {name}", f"{name} A 6.6.6.6")
    assert shown(told)[1:] == [f"{name} 86400 A 127.0.0.1"]


HERE, USUAL = ([protocol.Upstream(each, 53, inside=True)] for each in ("10.0.0.53", "10.0.0.1"))
ZONES = scope(
    NAMES,
    routes={
        wire.to_wire("example.org"): HERE,
        wire.to_wire("twin.org"): HERE,
        wire.to_wire("corp.local"): [protocol.Upstream("10.0.0.54", 53, inside=True)],
        wire.to_wire("sub.example.org"): USUAL,
    },
)


def leads(
    *answers: str, name: str = "www.example.org", kind: str = "A", rcode: int = 0, soa: bool = False
) -> tuple[str, ...]:
    """The name that is asked next and how many records lead there; empty when nobody is asked."""
    asked = data(name, kind, use_edns=0)
    made = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    made.set_rcode(dns.rcode.Rcode(rcode))
    for text in answers:
        owner, what, rest = text.split(" ", 2)
        made.answer.append(dns.rrset.from_text(owner, 60, "IN", what, rest))
    if soa:
        text = "ns.example. who.example. 1 2 3 4 60"
        made.authority.append(dns.rrset.from_text("example.", 60, "IN", "SOA", text))
    parsed = wire.parse(asked)
    assert isinstance(parsed, wire.Query)
    found = reply.read(made.to_wire(), parsed.end, dnssec=False)
    assert found is not None
    found = cut.of_zone(found, parsed, ZONES)
    told = cut.for_client(found, asked, parsed, ZONES, stream=False)
    if not isinstance(told, chase.Onward):
        return ()
    assert cut.cuts(found, parsed, ZONES)
    return wire.to_text(told.end.name), str(len(told.path))


OUT = "www.example.org. CNAME lb.example.com."


def test_a_zone_that_leads_out_alone_is_gone_on_from() -> None:
    assert leads(OUT) == ("lb.example.com.", "1")
    via = "lb.example.com. CNAME lb2.example.com."
    assert leads(OUT, via) == ("lb2.example.com.", "2")
    # Of the same servers the end may be in another zone, of which they gave nothing.
    assert leads("www.example.org. CNAME x.twin.org.") == ("x.twin.org.", "1")


@pytest.mark.parametrize("rcode", [2, 4, 5])
def test_the_error_of_a_zones_server_is_of_the_end_that_it_does_not_know(rcode: int) -> None:
    assert leads(OUT, rcode=rcode) == ("lb.example.com.", "1")
    inner = "www.example.org. CNAME gone.example.org."
    assert leads(inner, rcode=rcode) == ()
    assert leads("www.other.org. CNAME lb.example.com.", name="www.other.org", rcode=rcode) == ()


def test_what_a_zones_server_finds_out_by_itself_is_believed() -> None:
    assert leads(OUT, "lb.example.com. A 192.0.2.1") == ()
    assert leads(OUT, soa=True) == ()
    assert leads(OUT, rcode=3) == ()
    assert leads(OUT, kind="CNAME") == ()
    assert leads("www.example.org. CNAME gone.example.org.") == ()


@pytest.mark.parametrize("rcode", [0, 3])
@pytest.mark.parametrize("rest", [(), ("srv1.corp.local. A 6.6.6.6",)])
@pytest.mark.parametrize("name", ["www.other.org", "www.example.org"])
def test_of_names_in_a_zone_only_its_servers_are_asked(
    name: str, rest: tuple[str, ...], rcode: int
) -> None:
    wanted = ("srv1.corp.local.", "1")
    assert leads(f"{name}. CNAME srv1.corp.local.", *rest, name=name, rcode=rcode) == wanted


def test_of_two_zones_of_the_same_servers_either_may_tell() -> None:
    told = ("www.example.org. CNAME x.twin.org.", "x.twin.org. A 192.0.2.1")
    assert leads(*told) == ()


def test_a_zone_within_a_zone_has_servers_of_its_own() -> None:
    inner = "x.sub.example.org."
    told = (f"www.example.org. CNAME {inner}", f"{inner} A 6.6.6.6")
    assert leads(*told) == (inner, "1")


def test_where_a_zone_leads_to_ours_we_tell_all_the_same() -> None:
    assert leads("www.example.org. CNAME out.net.") == ("x.org.", "2")
    assert leads("www.example.org. CNAME web.net.", rcode=5) == ()

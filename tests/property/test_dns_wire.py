"""dnspython and dnslib as oracles: what we render they read as meant, and no bytes upset us."""

import itertools
import random

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dnslib
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver import counters, protocol
from resolver.listen import respond
from resolver.message import reply, wire
from resolver.names import answer
from resolver.upstream import forward

LABELS = st.binary(min_size=1, max_size=20)
NAMES = st.lists(LABELS, min_size=1, max_size=8).map(lambda parts: dns.name.Name([*parts, b""]))
TYPES = st.sampled_from([1, 2, 5, 6, 12, 15, 16, 28, 33, 64, 65, 99, 255, 257, 65280])
ADDRESSES = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=120, unique=True)


def query_of(name: dns.name.Name, kind: int, payload: int | None, *, dnssec: bool) -> bytes:
    asked = dns.message.make_query(
        name,
        dns.rdatatype.RdataType.make(kind),
        use_edns=payload is not None,
        want_dnssec=dnssec and payload is not None,
        payload=payload or 1232,
    )
    return asked.to_wire()


def wire_of(name: dns.name.Name) -> bytes:
    return name.canonicalize().to_wire() or b""


PAYLOADS = st.none() | st.integers(0, 65535)


def scope(names: protocol.Names) -> answer.Scope:
    view = protocol.View("s", "", ["t"], [wire.to_wire("net")], {}, [])
    return answer.Scope.of(view, [names])


@given(NAMES)
def test_names_are_shown_as_others_show_them(name: dns.name.Name) -> None:
    assert wire.to_text(name.to_wire() or b"") == name.to_text()


@given(NAMES, TYPES, PAYLOADS, st.booleans())
def test_what_others_ask_is_what_we_read(
    name: dns.name.Name, kind: int, payload: int | None, dnssec: bool
) -> None:
    found = wire.parse(query_of(name, kind, payload, dnssec=dnssec))
    assert isinstance(found, wire.Query)
    assert found.name == wire_of(name)
    assert found.kind == kind
    assert found.edns is (payload is not None)
    assert found.dnssec is (dnssec and payload is not None)
    assert 512 <= found.limit <= 1232


@given(NAMES, ADDRESSES, PAYLOADS, st.booleans())
def test_what_we_answer_is_what_others_read(
    name: dns.name.Name, addresses: list[int], payload: int | None, stream: bool
) -> None:
    data = query_of(name, 1, payload, dnssec=False)
    records = [wire.record(wire.A, 5, each.to_bytes(4, "big")) for each in addresses]
    entry = {wire.A: records}
    responder = respond.Responder(counters.Counters(), random.Random(1).randrange)
    said = responder.respond(data, scope({wire_of(name): entry}), stream=stream)
    assert isinstance(said, respond.Said)
    query = wire.parse(data)
    assert isinstance(query, wire.Query)
    assert len(said.reply) <= (65535 if stream else query.limit)
    read = dns.message.from_wire(said.reply)
    assert dns.message.from_wire(data).is_response(read)
    assert said.reply[12 : query.end] == data[12 : query.end]
    assert read.flags & dns.flags.AA
    assert read.flags & dns.flags.RA
    assert (read.edns >= 0) is (payload is not None)
    got = {item.to_text() for rrset in read.answer for item in rrset}
    meant = {".".join(map(str, each.to_bytes(4, "big"))) for each in addresses}
    assert got <= meant
    cut = bool(read.flags & dns.flags.TC)
    assert cut is (got != meant)
    if said.reply[12 : query.end].isascii():  # dnslib reads no others
        other = dnslib.DNSRecord.parse(said.reply)
        assert {str(each.rdata) for each in other.rr} == got


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_A8_49_any_bytes_give_an_answer_or_a_drop(data: bytes) -> None:
    responder = respond.Responder(counters.Counters(), random.Random(1).randrange)
    for stream in (False, True):
        said = responder.respond(data, scope({}), stream=stream)
        if isinstance(said, respond.Said):
            assert said.reply[:2] == data[:2]
            assert said.reply[2] & 0x80
            dns.message.from_wire(said.reply)


@given(NAMES, st.binary(max_size=200), st.integers(0, 65535))
@settings(max_examples=200)
def test_A8_49_broken_ends_of_good_queries(name: dns.name.Name, tail: bytes, counts: int) -> None:
    head = bytearray(query_of(name, 1, None, dnssec=False))
    head[10:12] = (counts % 4).to_bytes(2, "big")
    found = wire.parse(bytes(head) + tail)
    assert isinstance(found, wire.Query | wire.Rcode)


RDATA = st.sampled_from(
    [
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
        ("CNAME", "other.example.org."),
        ("MX", "10 mail.example.org."),
        ("TXT", '"some text" "more"'),
        ("SRV", "1 2 80 web.example.org."),
        ("TYPE65280", "\\# 3 010203"),
    ]
)
TTLS = st.integers(0, 2**31 - 1)


def upstream_reply(data: bytes, items: list[tuple[tuple[str, str], int]]) -> bytes:
    made = dns.message.make_response(dns.message.from_wire(data), recursion_available=True)
    name = made.question[0].name
    for (kind, text), ttl in items:
        made.answer.append(dns.rrset.from_text(name, ttl, "IN", kind, text))
    made.authority.append(dns.rrset.from_text("example.org.", 60, "IN", "NS", "ns.example.org."))
    made.additional.append(dns.rrset.from_text("ns.example.org.", 60, "IN", "A", "6.6.6.6"))
    return made.to_wire(max_size=65535)


@given(NAMES, st.lists(st.tuples(RDATA, TTLS), max_size=30), PAYLOADS, st.integers(0, 5000))
def test_A8_56_a_forwarded_reply_keeps_its_answers_and_nothing_else(
    name: dns.name.Name, items: list[tuple[tuple[str, str], int]], payload: int | None, age: int
) -> None:
    data = query_of(name, 255, payload, dnssec=False)
    query = wire.parse(data)
    assert isinstance(query, wire.Query)
    origin = upstream_reply(data, items)
    found = reply.read(origin, query.end, dnssec=False)
    assert found is not None
    said = reply.for_client(found, data, query, stream=False, aged_s=age)
    assert len(said) <= query.limit
    read, meant = dns.message.from_wire(said), dns.message.from_wire(origin)
    assert dns.message.from_wire(data).is_response(read)
    assert not read.flags & (dns.flags.AA | dns.flags.AD)
    assert not read.additional
    wanted = {(rrset.rdtype, item) for rrset in meant.answer for item in rrset}
    got = {(rrset.rdtype, item) for rrset in read.answer for item in rrset}
    assert got <= wanted
    if got != wanted:
        assert read.flags & dns.flags.TC
    if items:
        assert not read.authority
    for rrset in read.answer:
        assert rrset.ttl <= reply.MOST_TTL_S


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_A8_46_any_upstream_bytes_give_a_whole_reply_or_none(tail: bytes) -> None:
    data = query_of(dns.name.from_text("example.org."), 1, 1232, dnssec=False)
    query = wire.parse(data)
    assert isinstance(query, wire.Query)
    sent = forward.question(data, query, 7, 0, mark=b"")
    counts = tail[:6].ljust(6, b"\0")
    hostile = sent.message[:2] + b"\x81\x80\0\1" + counts + sent.message[12 : sent.end] + tail[6:]
    found = reply.read(hostile, sent.end, dnssec=False)
    if found is not None:
        said = reply.for_client(found, data, query, stream=True)
        assert said[:2] == data[:2]
        assert len(said) <= len(hostile) + 11  # the OPT record


@given(
    NAMES,
    st.lists(NAMES, max_size=answer.MOST_ALIASES - 1, unique=True),
    ADDRESSES,
    PAYLOADS,
)
def test_what_is_at_the_end_of_aliases_is_read_as_meant(
    name: dns.name.Name, more: list[dns.name.Name], addresses: list[int], payload: int | None
) -> None:
    chain = list(dict.fromkeys(map(wire_of, (name, *more))))
    records = [wire.record(wire.A, 5, each.to_bytes(4, "big")) for each in addresses]
    names: protocol.Names = {
        one: {wire.CNAME: [wire.record(wire.CNAME, 5, two)]}
        for one, two in itertools.pairwise(chain)
    }
    names[chain[-1]] = {wire.A: records}
    data = query_of(name, 1, payload, dnssec=False)
    responder = respond.Responder(counters.Counters(), random.Random(1).randrange)
    said = responder.respond(data, scope(names), stream=False)
    assert isinstance(said, respond.Said)
    query = wire.parse(data)
    assert isinstance(query, wire.Query)
    assert len(said.reply) <= query.limit
    read = dns.message.from_wire(said.reply)
    got = [(wire_of(rrset.name), item) for rrset in read.answer for item in rrset]
    aliases = [(one, two.to_text()) for one, two in got if two.rdtype == wire.CNAME]
    assert [one for one, _ in aliases] == chain[: len(aliases)]
    ends = {item.to_text() for one, item in got if item.rdtype == wire.A and one == chain[-1]}
    meant = {".".join(map(str, each.to_bytes(4, "big"))) for each in addresses}
    assert ends <= meant
    assert len(aliases) + len(ends) == len(got)
    assert bool(read.flags & dns.flags.TC) is (len(aliases) < len(chain) - 1 or ends != meant)

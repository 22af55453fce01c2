"""The same questions through us and through unbound as a forwarder, of the same scripted server.

The method of respdiff: response code, flags and the set of answers must be equal; TTLs and the
order do not count. A truncated answer is compared over TCP: how much of it fits is each server's own choice.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from resolver import protocol
from tests.scenario import unbound, zoo
from tests.scenario.unbound import free_port
from tests.scenario.worker import HANGS_S, running
from tests.scenario.zoo import Zoo

KINDS = (*zoo.DATA, "CNAME", "ANY", "TYPE1000")
SORTS = (*zoo.SORTS, *zoo.CHAINS)
ODD = (
    ".",
    "example.",
    "*.example.",
    "mIxEd-cAsE.Example.",
    "_443._tcp.web.example.",
    "a_b.example.",
    "xn--bcher-kva.example.",
    "with\\.dot.example.",
    "with\\032space.example.",
    "nul\\000.example.",
    "high\\255.example.",
    "1.2.0.11.in-addr.arpa.",
    "8.b.d.0.1.0.0.3.ip6.arpa.",
    "-.example.",
    f"{'l' * 63}.example.",
    ".".join(["x" * 61] * 4) + ".",
    ".".join("m" * 120) + ".",
    "deep.under.none.example.",
)
STREAMS = 7  # each so manieth question is asked over TCP
# How a question may be asked besides its name and type.
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"use_edns": 0},
    {"use_edns": 0, "payload": 512},
    {"use_edns": 0, "payload": 4096},
    {"want_dnssec": True},
    {"flags": dns.flags.RD | dns.flags.CD},
    {"want_dnssec": True, "flags": dns.flags.RD | dns.flags.CD},
    {"use_edns": 0, "flags": dns.flags.RD | dns.flags.AD},
)
FORWARDER = (
    unbound.ALONE
    + """
  interface: 127.0.0.1@{port}
  module-config: "iterator"
  local-zone: "example." transparent
  unblock-lan-zones: yes
  insecure-lan-zones: yes
  outgoing-range: 512
  qname-minimisation: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream}
"""
)
Answer = tuple[str, str, frozenset[tuple[str, str, str]]]


@pytest.fixture
def world() -> Iterator[Zoo]:
    server = Zoo()
    yield server
    server.close()


@pytest.fixture
def reference(world: Zoo, tmp_path: Path) -> Iterator[int]:
    """The port of an unbound that forwards to `world`."""
    port = free_port()
    settings = FORWARDER.format(port=port, folder=tmp_path, upstream=world.port)
    with unbound.running(settings, tmp_path, port):
        yield port


def questions() -> Iterator[dns.message.QueryMessage]:
    """Each sort of name with each type, odd names with each type: every time another way."""
    ways = itertools.cycle(WAYS)
    for at, sort in enumerate(SORTS):
        for number, kind in enumerate(KINDS):
            zone = "dzone.example." if sort == "dname" else "Example."
            # Two types a name: what is remembered of the one must not spoil the other.
            yield made(f"{sort}{at}{number // 2}.{zone}", kind, next(ways))
        next(ways)
    for name in ODD:
        for kind in ("A", "AAAA", "TXT", "NS", "SOA", "MX", "HTTPS"):
            yield made(name, kind, next(ways))


def made(name: str, kind: str, way: dict[str, Any]) -> dns.message.QueryMessage:
    return dns.message.make_query(name, kind, **way)


def said(
    query: dns.message.QueryMessage, udp: int, tcp: int, *, stream: bool
) -> tuple[bool, Answer]:
    """Whether UDP was too small, and the whole answer; over TCP at once if `stream`."""
    cut = False
    if not stream:
        reply = dns.query.udp(query, "127.0.0.1", HANGS_S, udp, ignore_unexpected=True)
        cut = bool(reply.flags & dns.flags.TC)
    if stream or cut:
        reply = dns.query.tcp(query, "127.0.0.1", HANGS_S, tcp)
    records = {
        (each.name.to_text().lower(), dns.rdatatype.to_text(each.rdtype), item.to_text().lower())
        for each in reply.answer
        for item in each
    }
    flags = dns.flags.to_text(reply.flags)
    return cut, (dns.rcode.to_text(reply.rcode()), flags, frozenset(records))


def test_we_say_what_unbound_says(world: Zoo, reference: int, tmp_path: Path) -> None:
    asked = list(questions())
    assert len({each.question[0].to_text() for each in asked}) >= 500
    different = []
    with running(tmp_path) as worker:
        session = worker.session()
        server = protocol.Upstream("127.0.0.1", world.port, inside=False)
        udp, tcp = session.serve(names={}, upstreams=[server])
        assert session.apply() == {}
        for number, query in enumerate(asked):
            stream = number % STREAMS == 0
            ours = said(query, udp, tcp, stream=stream)
            theirs = said(query, reference, reference, stream=stream)
            if ours != theirs:
                different.append((query.question[0].to_text(), query.edns, ours, theirs))
    print(*different, sep="\n")
    assert different == []
    assert len(world.heard) > len(asked)

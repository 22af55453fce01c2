"""The same questions through us and through unbound as a forwarder, of the same scripted server.

The method of respdiff: response code, flags and the set of answers must be equal; TTLs and the
order do not count. A truncated answer is compared over TCP: how much of it fits is each server's own choice.
"""

import hashlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from resolver import protocol
from tests.scenario.encrypted import free_port, listens
from tests.scenario.worker import Upstream, running

KINDS = ("A", "AAAA", "MX", "TXT", "NS", "SOA", "CNAME", "SRV", "HTTPS", "CAA", "TYPE65280", "PTR")
LABELS = ("plain", "Chain", "NONE", "empty", "big", "fail", "mIxEd-case", "a_b", "xn--bcher-kva")
NUMBERS = 5
FORWARDER = """
server:
  interface: 127.0.0.1@{port}
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
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
TEXT = {
    "A": "192.0.2.{n}",
    "AAAA": "2001:db8::{n}",
    "MX": "10 mail{n}.example.",
    "TXT": '"text {n}" "with \\"marks\\""',
    "NS": "ns{n}.example.",
    "SOA": "ns.example. root.example. {n} 3600 600 86400 60",
    "SRV": "1 2 {n} host{n}.example.",
    "HTTPS": "1 . alpn=h2 port={n}",
    "CAA": '0 issue "ca{n}.example"',
    "TYPE65280": "\\# 4 0a0b0c0{n}",
    "PTR": "host{n}.example.",
}


class World(Upstream):
    """Answers by the name: how many records, a chain, "no", an error or too much for UDP."""

    def reply(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        asked = query.question[0]
        label = asked.name.labels[0].decode("ascii", "replace").lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        answer = dns.message.make_response(query, recursion_available=True)
        if label.startswith("fail"):
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer.to_wire()
        if label.startswith("none"):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        is_alias = label.startswith("chain")
        if label.startswith(("none", "empty")) or (kind == "CNAME" and not is_alias):
            soa = "ns.example. root.example. 1 3600 600 86400 60"
            answer.authority.append(dns.rrset.from_text("example.", 60, "IN", "SOA", soa))
            return answer.to_wire(max_size=65535)
        owner = asked.name
        if is_alias:
            target = dns.name.from_text(f"end-{label}.example.")
            answer.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", target.to_text()))
            owner = target
        if is_alias and kind == "CNAME":
            return answer.to_wire()
        count = 1 if kind == "SOA" else 90 if label.startswith("big") else 1 + _n(label)
        texts = [TEXT[kind].format(n=n % 10 if kind == "TYPE65280" else n) for n in range(count)]
        answer.answer.append(dns.rrset.from_text_list(owner, 60, "IN", kind, sorted(set(texts))))
        wire = answer.to_wire(max_size=65535)
        if not stream and len(wire) > 1232:
            return _cut(query)
        return wire


def _n(label: str) -> int:
    return hashlib.sha256(label.removeprefix("end-").encode()).digest()[0] % 4


def _cut(query: dns.message.Message) -> bytes:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.flags |= dns.flags.TC
    return answer.to_wire()


Answer = tuple[str, str, frozenset[tuple[str, str, str]]]


@pytest.fixture
def world() -> Iterator[World]:
    server = World()
    yield server
    server.close()


@pytest.fixture
def reference(world: World, tmp_path: Path) -> Iterator[int]:
    """The port of an unbound that forwards to `world`."""
    port = free_port(socket.SOCK_DGRAM)
    settings = tmp_path / "unbound.conf"
    settings.write_text(FORWARDER.format(port=port, folder=tmp_path, upstream=world.port))
    with (tmp_path / "unbound.log").open("w") as log:
        server = subprocess.Popen(
            ["/usr/sbin/unbound", "-d", "-c", str(settings)], stdout=log, stderr=log
        )
        try:
            listens(server, port)
            yield port
        finally:
            server.terminate()
            server.wait(10)


def questions() -> Iterator[dns.message.QueryMessage]:
    for label in LABELS:
        for number in range(NUMBERS):
            for at, kind in enumerate(KINDS):
                edns = 0 if (number + at) % 2 else None
                yield dns.message.make_query(f"{label}{number}.Example", kind, use_edns=edns)


def said(query: dns.message.QueryMessage, udp: int, tcp: int) -> tuple[bool, Answer]:
    """Whether UDP was too small, and the whole answer."""
    reply = dns.query.udp(query, "127.0.0.1", 8, udp, ignore_unexpected=True)
    cut = bool(reply.flags & dns.flags.TC)
    if cut:
        reply = dns.query.tcp(query, "127.0.0.1", 8, tcp)
    records = {
        (each.name.to_text().lower(), dns.rdatatype.to_text(each.rdtype), item.to_text().lower())
        for each in reply.answer
        for item in each
    }
    flags = dns.flags.to_text(reply.flags)
    return cut, (dns.rcode.to_text(reply.rcode()), flags, frozenset(records))


def test_we_say_what_unbound_says(world: World, reference: int, tmp_path: Path) -> None:
    asked = list(questions())
    assert len(asked) >= 500
    different = []
    with running(tmp_path) as worker:
        session = worker.session()
        server = protocol.Upstream("127.0.0.1", world.port, inside=False)
        udp, tcp = session.serve(names={}, upstreams=[server])
        assert session.apply() == {}
        for query in asked:
            ours, theirs = said(query, udp, tcp), said(query, reference, reference)
            if ours != theirs:
                different.append((query.question[0].to_text(), query.edns, ours, theirs))
    assert different == []
    assert len(world.heard) > len(asked)

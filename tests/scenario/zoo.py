"""A server that answers in every way a server may, by the first label of the name.

Each name is good for any type: what is there for a type is in `DATA`, the rest is NODATA. Numbers
behind a label only make further names of the same sort. Who asks for each step of an alias himself
is told the same as who takes the whole.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.scenario.worker import Upstream

SOA: Final = "ns.example. root.example. 1 3600 600 86400 60"
UDP_MOST: Final = 1232
DATA: Final = {
    "A": ("192.0.2.{n}",),
    "AAAA": ("2001:db8::{n}",),
    "MX": ("10 mail{n}.example.", "20 backup.example."),
    "TXT": ('"text {n}" "with \\"marks\\" and \\200"',),
    "NS": ("ns{n}.example.",),
    "SOA": ("ns.example. root.example. {n} 3600 600 86400 60",),
    "SRV": ("1 2 {n} host{n}.example.", "2 0 443 ."),
    "HTTPS": ("1 . alpn=h2,h3 port={n} ipv4hint=192.0.2.1",),
    "SVCB": ("0 other{n}.example.",),
    "CAA": ('0 issue "ca{n}.example"', '128 iodef "mailto:x@example"'),
    "PTR": ("host{n}.example.",),
    "NAPTR": ('10 {n} "u" "E2U+sip" "!^.*$!sip:x@example!" .',),
    "URI": ('10 {n} "https://example/{n}"',),
    "TLSA": ("3 1 1 " + "0a0b0c0d" * 8,),
    "SSHFP": ("4 2 " + "0a0b0c0d" * 8,),
    "DS": ("6{n} 13 2 " + "0a0b0c0d" * 8,),
    "DNSKEY": ("257 3 13 0a0b0c0d",),
    "HINFO": ('"cpu{n}" "os"',),
    "LOC": ("52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",),
    "TYPE65280": ("\\# 4 0a0b0c0{n}",),
}
Answer = Callable[[dns.message.Message, dns.name.Name], None]


class Zoo(Upstream):
    """`SORTS` says what the first label means; every other name is of the sort "plain"."""

    def reply(self, query: dns.message.Message, *, stream: bool) -> bytes | None:
        answer = dns.message.make_response(query, recursion_available=True)
        owner = query.question[0].name
        label = owner.labels[0].decode("ascii", "replace").lower()
        if step := re.fullmatch(r"step(\d)-(.+)", label):
            chain(answer, owner, int(step[1]), step[2])
        elif sort(label) in CHAINS:
            chain(answer, owner, 0, label)
        else:
            SORTS.get(sort(label), plain)(answer, owner)
        wire = answer.to_wire(max_size=65535)
        if stream or len(wire) <= UDP_MOST:
            return wire
        cut = dns.message.make_response(query, recursion_available=True)
        cut.flags |= dns.flags.TC
        return cut.to_wire()


def sort(label: str) -> str:
    return label.rstrip("0123456789")


def add(
    answer: dns.message.Message, owner: dns.name.Name, kind: str, *texts: str, ttl: int = 60
) -> None:
    answer.answer.append(dns.rrset.from_text_list(owner, ttl, "IN", kind, list(texts)))


def beside(answer: dns.message.Message, owner: str, kind: str, text: str) -> None:
    """A record to the authority."""
    answer.authority.append(dns.rrset.from_text(owner, 60, "IN", kind, text))


def asked(answer: dns.message.Message) -> str:
    return dns.rdatatype.to_text(answer.question[0].rdtype)


def no(answer: dns.message.Message, owner: dns.name.Name) -> None:
    del owner
    beside(answer, "example.", "SOA", SOA)


def nothing(answer: dns.message.Message, owner: dns.name.Name) -> None:
    answer.set_rcode(dns.rcode.NXDOMAIN)
    no(answer, owner)


def failing(rcode: dns.rcode.Rcode) -> Answer:
    return lambda answer, _: answer.set_rcode(rcode)


def plain(answer: dns.message.Message, owner: dns.name.Name, ttl: int = 60) -> None:
    texts = DATA.get(asked(answer))
    if texts is None:
        return no(answer, owner)
    number = hashlib.sha256(owner.to_text().lower().encode()).digest()[0] % 9 + 1
    return add(answer, owner, asked(answer), *[each.format(n=number) for each in texts], ttl=ttl)


def many(answer: dns.message.Message, owner: dns.name.Name) -> None:
    """More than fits a datagram, of the types that may be many."""
    texts = {
        "A": [f"192.0.2.{n}" for n in range(1, 101)],
        "AAAA": [f"2001:db8::{n:x}" for n in range(1, 101)],
        "TXT": [f'"{n:03} {"x" * 250}" "{"y" * 250}"' for n in range(9)],
        "MX": [f"{n} a-long-name-of-a-mail-host-{n}.example." for n in range(60)],
        "SRV": [f"{n} 0 80 a-long-name-of-a-host-{n}.example." for n in range(60)],
    }.get(asked(answer))
    return add(answer, owner, asked(answer), *texts) if texts else plain(answer, owner)


def chain(answer: dns.message.Message, owner: dns.name.Name, step: int, label: str) -> None:
    """Aliases from `step` on, each to the next, and at their end what is asked for."""
    length, end = CHAINS[sort(label)]
    for number in range(step, length):
        target = dns.name.from_text(f"step{number + 1}-{label}.end.example.")
        add(answer, owner, "CNAME", target.to_text())
        if asked(answer) in ("CNAME", "ANY"):
            return None
        owner = target
    return end(answer, owner)


def dname(answer: dns.message.Message, owner: dns.name.Name) -> None:
    """The zone is elsewhere: DNAME, the CNAME made from it, and what is there (RFC 6672)."""
    moved = dns.name.from_text("moved.example.")
    if owner.parent() == moved:
        return plain(answer, owner)
    target = dns.name.Name((owner.labels[0],)) + moved
    add(answer, owner.parent(), "DNAME", moved.to_text())
    add(answer, owner, "CNAME", target.to_text())
    return None if asked(answer) == "CNAME" else plain(answer, target)


def special(answer: dns.message.Message, owner: dns.name.Name) -> None:
    """An alias to a name that nobody outside is asked for (RFC 6762), as split horizons have it."""
    del owner
    target = dns.name.from_text("srv1.corp.local.")
    add(answer, answer.question[0].name, "CNAME", target.to_text())
    return None if asked(answer) in ("CNAME", "ANY") else plain(answer, target)


def lame(answer: dns.message.Message, owner: dns.name.Name) -> None:
    """A referral instead of an answer, of one who neither knows nor finds out."""
    del owner
    answer.flags &= ~dns.flags.RA
    beside(answer, "example.", "NS", "ns.elsewhere.example.")


def any_type(answer: dns.message.Message, owner: dns.name.Name) -> None:
    """For ANY some of it, for the rest as ever (RFC 8482)."""
    if asked(answer) != "ANY":
        return plain(answer, owner)
    return add(answer, owner, "HINFO", '"RFC8482" ""')


def odd_sections(answer: dns.message.Message, owner: dns.name.Name) -> None:
    """Right, with much beside it that nobody asked for."""
    plain(answer, owner)
    beside(answer, "example.", "NS", "ns.example.")
    answer.additional.append(dns.rrset.from_text("ns.example.", 60, "IN", "A", "192.0.2.200"))


def flagged(flag: dns.flags.Flag) -> Answer:
    def flags(answer: dns.message.Message, owner: dns.name.Name) -> None:
        answer.flags |= flag
        plain(answer, owner)

    return flags


CHAINS: Final[dict[str, tuple[int, Answer]]] = {
    "chain": (1, plain),
    "chains": (5, plain),
    "gone": (2, nothing),
    "hollow": (2, no),
}
SORTS: Final[dict[str, Answer]] = {
    "plain": plain,
    "many": many,
    "zero": lambda answer, owner: plain(answer, owner, ttl=0),
    "ages": lambda answer, owner: plain(answer, owner, ttl=10**8),
    "none": nothing,
    "empty": no,
    "fail": failing(dns.rcode.SERVFAIL),
    "refused": failing(dns.rcode.REFUSED),
    "notimp": failing(dns.rcode.NOTIMP),
    "dname": dname,
    "special": special,
    "lame": lame,
    "any": any_type,
    "odd": odd_sections,
    "aa": flagged(dns.flags.AA),
    "ad": flagged(dns.flags.AD),
}

"""Asks a sandbox's server as its processes would: for `sdctl dns query`.

In: a question. Out: the answer as text. The socket is opened inside the sandbox; waiting for the
answer happens outside, so a slow server holds none of the namespace threads.
"""

import asyncio
import functools
import re
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from resolver.files import resolvconf
from sdd import errors
from sdd.linux import namespaces

PORT: Final = 53
SERVER: Final = str(resolvconf.EMBEDDED)
_LONGEST: Final = 0xFFFF  # bytes of a message
TIMEOUT: Final = "TIMEOUT"  # in the place of the rcode when no answer came
Record = tuple[str, int, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came. Records are (name, TTL in seconds, type, data).

    `explained` are the extended errors (RFC 8914), as (code, text). `is_cut` means that records are
    missing, which the server itself says (TC).
    """

    rcode: str
    explained: tuple[tuple[int, str], ...] = ()
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    milliseconds: float = 0.0
    server: str = SERVER
    source: str = ""
    is_cut: bool = False


class Asker:
    """Asks from inside namespaces."""

    def __init__(self, doors: namespaces.Namespaces) -> None:
        self._doors = doors

    async def ask(
        self, netns: str, name: str, rdtype: str, *, tcp: bool, timeout_s: float
    ) -> Reply:
        """What the server of the sandbox at `netns` answers within `timeout_s` seconds.

        Raises `errors.Invalid` for a bad name or type, `errors.Unavailable` when nobody listens.
        """
        query = question(name, rdtype)
        started = time.monotonic()
        for kind in (socket.SOCK_STREAM,) if tcp else (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with await self._doors.run(netns, functools.partial(_socket, kind)) as link:
                left = max(0.0, timeout_s - (time.monotonic() - started))
                reply = await asyncio.to_thread(_exchange, link, query, left)
            if reply is None or not reply.flags & dns.flags.TC:
                break  # a cut answer is asked for again over TCP, as every stub does
        return _told(reply, (time.monotonic() - started) * 1000)


def question(name: str, rdtype: str) -> dns.message.QueryMessage:
    """The message; a number is a type too (RFC 3597). `errors.Invalid` for a bad name or type."""
    kind = f"TYPE{rdtype}" if rdtype.isdecimal() else rdtype
    whole = owner(name)
    try:
        return dns.message.make_query(whole, kind, use_edns=0, payload=1232)
    except (dns.exception.DNSException, ValueError) as exc:
        raise errors.Invalid(
            f"{errors.quoted(rdtype)} is no type of DNS records",
            hint="types are A, AAAA, PTR, SRV, TXT …, or a number such as 65",
            code="SDD-DNS-QUESTION",
        ) from exc


# What people copy: a URL, or a name and a port.
_WITH_MORE: Final = re.compile(r"\w[\w+.-]*://(?P<name>[^/:?#]+).*|(?P<name_>[^/:]+):\d+", re.ASCII)


def owner(name: str) -> dns.name.Name:
    """The name, absolute; raises `errors.Invalid` for what is none."""
    if block := _block(name):
        raise errors.Invalid(
            f"{errors.quoted(name)} is a block of addresses, and no name",
            hint=f"one address has a name: {block.network_address}",
            code="SDD-DNS-QUESTION",
        )
    if found := _WITH_MORE.fullmatch(name):
        raise errors.Invalid(
            f"{errors.quoted(name)} is more than a name",
            hint=f"ask for the name alone: {found['name'] or found['name_']}",
            code="SDD-DNS-QUESTION",
        )
    try:
        if not name:
            raise dns.name.EmptyLabel
        return dns.name.from_text(name)
    except (dns.exception.DNSException, ValueError) as exc:
        raise errors.Invalid(
            f"{errors.quoted(name)} is no DNS name: {exc}",
            hint="labels have 1 to 63 characters, a name 253; the root is '.'",
            code="SDD-DNS-QUESTION",
        ) from exc


def top(name: str) -> dns.name.Name:
    """As `owner`, of a name that stands for all below it; a wildcard is none of these."""
    found = owner(name)
    if found.is_wild():
        below = name.partition(".")[2] or "."
        raise errors.Invalid(
            f"{errors.quoted(name)} is no name that anybody asks for",
            hint=f"a name stands for all below it: {below}",
            code="SDD-DNS-QUESTION",
        )
    return found


def type_name(rdtype: str) -> str:
    """The usual name of a type that `question` takes: `AAAA` also for `28`."""
    return dns.rdatatype.to_text(question(".", rdtype).question[0].rdtype)


def _block(text: str) -> IPv4Network | IPv6Network | None:
    """The block of addresses that `text` writes as ADDRESS/LENGTH."""
    if "/" not in text:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None  # labels may hold a slash (RFC 2317)


def _socket(kind: socket.SocketKind) -> socket.socket:
    return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _exchange(
    link: socket.socket, query: dns.message.Message, timeout_s: float
) -> dns.message.Message | None:
    """The answer; None when none came in time."""
    try:
        return _ask(link, query, timeout_s)
    except (dns.exception.Timeout, TimeoutError):
        return None
    except OSError as exc:
        raise errors.Unavailable(
            f"{SERVER} does not answer there: {exc.strerror}",
            hint="a sandbox has a server from its first network other than 'bridge' on:"
            " sdctl network connect NETWORK SANDBOX",
            code="SDD-DNS-NOSERVER",
        ) from exc
    except (dns.exception.DNSException, EOFError) as exc:
        raise errors.Unavailable(
            f"{SERVER} answers what is no DNS message: {exc!r}", code="SDD-DNS-BADREPLY"
        ) from exc


def _told(reply: dns.message.Message | None, milliseconds: float) -> Reply:
    if reply is None:
        return Reply(rcode=TIMEOUT, milliseconds=milliseconds)
    return Reply(
        rcode=dns.rcode.to_text(reply.rcode()),
        answers=tuple(_records(reply.answer)),
        authority=tuple(_records(reply.authority)),
        explained=tuple((int(each.code), each.text or "") for each in reply.extended_errors()),
        milliseconds=milliseconds,
        is_cut=bool(reply.flags & dns.flags.TC),
    )


def _ask(link: socket.socket, query: dns.message.Message, timeout_s: float) -> dns.message.Message:
    """The first message that answers `query`.

    Not by `dns.query`, which loads the whole of a QUIC library: 12 MiB in a daemon that needs none.
    """
    until = time.monotonic() + timeout_s
    is_datagram = link.type == socket.SOCK_DGRAM
    wire = query.to_wire()
    link.settimeout(timeout_s)
    # Connected, so that a port without a server is an error and not silence.
    link.connect((SERVER, PORT))
    link.sendall(wire if is_datagram else len(wire).to_bytes(2, "big") + wire)
    while True:
        said = _received(link, _LONGEST, until) if is_datagram else _framed(link, until)
        reply = dns.message.from_wire(said)
        if query.is_response(reply):
            return reply


def _framed(link: socket.socket, until: float) -> bytes:
    """One message with its length before it (RFC 1035 §4.2.2)."""
    length = int.from_bytes(_exactly(link, 2, until), "big")
    return _exactly(link, length, until)


def _exactly(link: socket.socket, count: int, until: float) -> bytes:
    got = b""
    while len(got) < count:
        piece = _received(link, count - len(got), until)
        if not piece:
            raise EOFError("the connection ended in the middle of a message")
        got += piece
    return got


def _received(link: socket.socket, most: int, until: float) -> bytes:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    link.settimeout(left)
    return link.recv(most)


def _records(sets: Iterable[dns.rrset.RRset]) -> Iterator[Record]:
    for each in sets:
        kind = dns.rdatatype.to_text(each.rdtype)
        for data in each:
            yield each.name.to_text(), each.ttl, kind, data.to_text()

"""Asking a member by datagrams: any UDP service, and DNS servers.

`link` is a fresh socket; connecting it lets the kernel report an ICMP error as a refusal.
"""

import asyncio
import secrets
import socket

from lb.checks import Check

_RECEIVE = 4096


async def udp(check: Check, link: socket.socket) -> str:
    """Why it passed; raises ValueError saying why not, or OSError; silence is the caller's."""
    answer = await _exchange(check, link, check.how.send.encode())
    if check.how.expect.encode() not in answer:
        raise ValueError(f"an answer without {check.how.expect!r}")
    return f"an answer of {len(answer)} bytes"


async def dns(check: Check, link: socket.socket) -> str:
    """A server is alive that answers for the name at all: NOERROR, or NXDOMAIN from its zone."""
    from dns import exception, flags, message, rcode, rdatatype

    question = message.make_query(check.how.host, rdatatype.A, id=secrets.randbelow(1 << 16))
    received = await _exchange(check, link, question.to_wire())
    try:
        answer = message.from_wire(received)
    except exception.DNSException as exc:
        raise ValueError("no DNS answer") from exc
    if answer.id != question.id or not answer.flags & flags.QR:
        raise ValueError("an answer to another question")
    code = answer.rcode()
    if code not in (rcode.NOERROR, rcode.NXDOMAIN):
        raise ValueError(f"DNS {rcode.to_text(code)}")
    return f"DNS {rcode.to_text(code)}"


async def _exchange(check: Check, link: socket.socket, sent: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    # Never waits. The loop would take EAGAIN, that no port is left to ask from, for waiting.
    link.connect((str(check.address), check.how.port))
    await loop.sock_sendall(link, sent)
    return await loop.sock_recv(link, _RECEIVE)

"""Asking a member over HTTP/1.1: one GET, the status, and what the body must contain."""

import asyncio
import functools
import socket
import ssl

from lb.checks import Check
from sdd.model.service import CheckKind

BODY_MAX = 64 << 10  # where the expected text must be found by
_HEAD_MAX = 16 << 10
_STATUS_WORDS = 2  # RFC 9112 §4: version, three digits, perhaps a reason
_STATUS_DIGITS = 3


async def ask(check: Check, link: socket.socket) -> str:
    """Why it passed; raises ValueError saying why not, or OSError. `link` is connected."""
    tls = unverified() if check.how.kind is CheckKind.HTTPS else None
    name = server_name(check) if tls else None
    reader, writer = await asyncio.open_connection(
        sock=link, ssl=tls, server_hostname=name, limit=_HEAD_MAX
    )
    try:
        writer.write(request(check))
        await writer.drain()
        status = to_status(await reader.readline())
        if not check.how.status_low <= status <= check.how.status_high:
            raise ValueError(f"HTTP status {status}")
        if check.how.expect and check.how.expect.encode() not in await _body(reader):
            raise ValueError(f"HTTP status {status}, but without {check.how.expect!r}")
    finally:
        writer.transport.abort()
    return f"HTTP status {status}"


def request(check: Check) -> bytes:
    """The bytes of the GET."""
    how = check.how
    host = how.host or _authority(check)
    lines = (
        f"GET {how.path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: sdd-health",
        "Accept: */*",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode()


def to_status(line: bytes) -> int:
    """The status of a status line; raises ValueError for anything else."""
    words = line.split(maxsplit=_STATUS_WORDS)
    if len(words) >= _STATUS_WORDS and words[0].startswith(b"HTTP/1."):
        digits = words[1]
        if len(digits) == _STATUS_DIGITS and digits.isdigit():
            return int(digits)
    raise ValueError("no HTTP answer")


def server_name(check: Check) -> str:
    """What TLS is told; an address goes into no ClientHello (RFC 6066 §3), but one is needed."""
    return check.how.host or str(check.address)


@functools.cache
def unverified() -> ssl.SSLContext:
    """Encrypts without asking who answers: the address is ours and known, the name need not be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _body(reader: asyncio.StreamReader) -> bytes:
    """Head and body together, up to a bound: the head may be searched without harm."""
    found = b""
    while len(found) < BODY_MAX and (more := await reader.read(BODY_MAX - len(found))):
        found += more
    _, _, body = found.partition(b"\r\n\r\n")
    return body


def _authority(check: Check) -> str:
    address = str(check.address)
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{check.how.port}"

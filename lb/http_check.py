"""Asking a member over HTTP/1.1: one GET, the status, and what the body must contain."""

import contextlib
import functools
import socket
import ssl

import aiohttp

from lb.checks import Check
from sdd.model.service import CheckKind

BODY_MAX = 64 << 10  # bytes, where the expected text must be found by
_NOTHING = "no HTTP answer"


async def ask(check: Check, link: socket.socket) -> str:
    """Why it passed; raises ValueError saying why not, or OSError. `link` is to be connected."""
    try:
        async with _session(link) as session, _asked(session, check) as answer:
            said = f"HTTP status {answer.status}"
            if not check.how.status_low <= answer.status <= check.how.status_high:
                raise ValueError(said)
            if not await _has(answer.content, check.how.expect.encode()):
                raise ValueError(f"{said}, but without {check.how.expect!r}")
            return said
    except aiohttp.ClientConnectorError as exc:
        raise exc.os_error from exc
    except aiohttp.ClientOSError:
        raise
    except aiohttp.ClientError as exc:
        raise ValueError(_NOTHING) from exc


def _session(link: socket.socket) -> aiohttp.ClientSession:
    """One connection, over `link`; what one answer says is told to no other one."""
    left = [link]

    def once(_address: object) -> socket.socket:
        """It asks for another one where the first was closed without an answer."""
        if not left:
            raise OSError(_NOTHING)
        return left.pop()

    connector = aiohttp.TCPConnector(socket_factory=once, force_close=True)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),  # a check has one for all that it does
        read_bufsize=BODY_MAX,
    )


def _asked(
    session: aiohttp.ClientSession, check: Check
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
    how = check.how
    is_tls = how.kind is CheckKind.HTTPS
    where = ("https" if is_tls else "http", _authority(check), how.path)
    return session.get(
        "{}://{}{}".format(*where),
        headers={
            "Host": how.host or _authority(check),
            "User-Agent": "sdd-health",
            "Accept-Encoding": "identity",
        },
        allow_redirects=False,
        ssl=unverified() if is_tls else False,
        server_hostname=server_name(check) if is_tls else None,
    )


async def _has(content: aiohttp.StreamReader, wanted: bytes) -> bool:
    """Whether the body has it, in its first BODY_MAX bytes; no more is read than that takes."""
    found = b""
    while wanted not in found:
        if len(found) >= BODY_MAX or not (more := await content.readany()):
            return False
        found = (found + more)[:BODY_MAX]
    return True


def server_name(check: Check) -> str:
    """What TLS is told; an address goes into no ClientHello (RFC 6066 §3), but one is needed."""
    return check.how.host or str(check.address)


@functools.cache
def unverified() -> ssl.SSLContext:
    """Encrypts without asking who answers: the address is ours and known, the name need not be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Old servers live, too: what matters is whether they answer.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _authority(check: Check) -> str:
    address = str(check.address)
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{check.how.port}"

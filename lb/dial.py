"""One check of one member: a try over real sockets, a result out; never much later than in time.

What is asked is one file per protocol; here the socket is opened, where the check is to be made
from, and whatever happens becomes a result, or that there is none (`unmade`). A command
(exec_check) needs no socket.
"""

import asyncio
import functools
import os
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lb import datagram_checks, exec_check, http_check, patience, unmade
from lb.checks import Check, Gate
from lb.heard import Heard
from lb.unmade import Unmade
from sdd import errors
from sdd.linux import lookups, namespaces, neighbour, port_holders
from sdd.model.service import CheckKind

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
# Between looks at a neighbour who is asked for. Who is there answers within one; the others are for
# a machine that is busy.
_LOOKS_S = (0.01, 0.04, 0.1, 0.1, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`reason` is a short text for people, such as "connection refused".

    One that `is_final` leaves nothing to doubt: it counts at once, however many it takes else.
    """

    passed: bool
    reason: str
    is_final: bool = False
    heard: Heard = Heard.WORDS


Dial = Callable[[Check], Coroutine[Any, Any, Result | Unmade]]
Open = Callable[[Check, socket.SocketKind], Awaitable[socket.socket]]
# Whether a datagram to the member comes to a socket there; None when nobody can tell, and raises
# `lookups.Hangs` when nobody can tell what is there at all.
Bound = Callable[[Check], Awaitable[bool | None]]
# Whether somebody on the wire answers for the member's address; True when nobody can tell.
Wired = Callable[[Check], Awaitable[bool]]
# What an asking function gives: the reason it passed. It raises OSError or ValueError otherwise.
Ask = Callable[[Check, socket.socket], Coroutine[Any, Any, str]]


async def dial(
    check: Check, opened: Open | None = None, bound: Bound | None = None, wired: Wired | None = None
) -> Result | Unmade:
    """The result of one try, at the latest after twice the check's timeout; never raises OSError.

    The timeout is the member's. What this process itself was late is no part of it (`patience`),
    nor is how long opening takes, which has as much, nor asking what silence means.
    """
    if check.how.kind is CheckKind.EXEC:
        return await _ran(check)
    kind, ask = _ASKS[check.how.kind]
    try:
        link = await _opened(check, kind, opened or _here)
    except TimeoutError:
        return Unmade(f"not begun within {check.how.timeout_s:g} s")
    except errors.NotFound as exc:
        # The member is gone with its namespace; the one of ingress is ours.
        lost = exc.sentence
        return Unmade(lost) if check.is_ingress else Result(passed=False, reason=lost)
    except (errors.SddError, OSError) as exc:
        return Unmade(_words(exc))
    with link:
        found = await _asked(check, ask(check, link))
    return found if found is not None else await _silence(check, bound, wired)


async def _opened(check: Check, kind: socket.SocketKind, opened: Open) -> socket.socket:
    if not check.inside:  # it waits for nobody: no timer for each of thousands
        return await opened(check, kind)
    async with patience.limit(check.how.timeout_s):
        return await opened(check, kind)


async def _asked(check: Check, asking: Awaitable[str]) -> Result | Unmade | None:
    """What a socket that is open hears; None for nothing."""
    try:
        async with patience.limit(check.how.timeout_s):
            return Result(passed=True, reason=await asking)
    except TimeoutError:
        return None
    except (OSError, ValueError) as exc:
        return _failed(check, exc)


def _failed(check: Check, exc: OSError | ValueError) -> Result | Unmade:
    match exc:
        case ConnectionRefusedError():
            return Result(passed=False, reason=_words(exc), heard=Heard.NOBODY)
        case ssl.SSLError():
            return Result(passed=False, reason=f"tls: {_plain(exc)}")
        case OSError() if unmade.is_ours(exc, check):
            return Unmade(_words(exc))
        case _:
            return Result(passed=False, reason=_words(exc))


async def _ran(check: Check) -> Result | Unmade:
    """What a command says; all errors but its own are of this host."""
    try:
        return Result(passed=True, reason=await exec_check.ask(check))
    except TimeoutError:
        return Result(passed=False, reason=_silent(check))
    except (errors.SddError, OSError) as exc:
        return Unmade(_words(exc))
    except ValueError as exc:
        return Result(passed=False, reason=_words(exc))


def through(spaces: namespaces.Namespaces) -> Dial:
    """A dial whose sockets are opened in the namespace each check names.

    `spaces` has better threads of its own: a check that waits for one is not begun. From the host,
    where this process is, it waits for none.
    """

    async def opened(check: Check, kind: socket.SocketKind) -> socket.socket:
        if not check.inside:
            return _socket(check, kind)
        return await spaces.run(check.inside, lambda: _socket(check, kind))

    async def bound(check: Check) -> bool | None:
        asked = port_holders.Asked(
            version=check.address.version,
            protocol=socket.IPPROTO_UDP,
            number=check.how.port,
            address=check.address,
        )
        try:
            return await spaces.run(check.home, lambda: port_holders.has_socket(asked))
        except lookups.Hangs:
            raise
        except (errors.SddError, OSError):
            return None

    async def wired(check: Check) -> bool:
        asked = neighbour.ask
        try:
            for pause_s in _LOOKS_S:
                if not await spaces.run(check.inside, functools.partial(asked, check.address)):
                    return True
                await asyncio.sleep(pause_s)
                asked = neighbour.is_unanswered
        except (errors.SddError, OSError):
            return True
        return False

    return functools.partial(dial, opened=opened, bound=bound, wired=wired)


async def _here(check: Check, kind: socket.SocketKind) -> socket.socket:
    return _socket(check, kind)


def _socket(check: Check, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET if check.address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IP
    opened = socket.socket(family, kind)
    opened.setblocking(False)
    if kind is socket.SOCK_STREAM:
        # A reset leaves no TIME_WAIT behind, and thousands of checks would.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    if check.is_ingress and check.gate is not None:
        _as_client(opened, check.gate, check.address.version)
    return opened


def _as_client(opened: socket.socket, gate: Gate, version: int) -> None:
    """The port is chosen when it connects, so that checks of many members share few ports."""
    try:
        if (source := gate.source(version)) is not None:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
            opened.bind((str(source), 0))
        # After the address: IPv6 would ask for one of this link.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, gate.link.encode())
    except OSError:
        opened.close()
        raise


async def _tcp(check: Check, link: socket.socket) -> str:
    await asyncio.get_running_loop().sock_connect(link, (str(check.address), check.how.port))
    return f"port {check.how.port} accepts connections"


async def _tls(check: Check, link: socket.socket) -> str:
    await _tcp(check, link)
    _, writer = await asyncio.open_connection(
        sock=link, ssl=http_check.unverified(), server_hostname=http_check.server_name(check)
    )
    version = writer.get_extra_info("ssl_object").version()
    writer.transport.abort()
    return f"{version} handshake"


async def _unasked(check: Check, link: socket.socket) -> str:
    del check, link
    return "not dialled"


_STREAM, _DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
_ASKS: Mapping[CheckKind, tuple[socket.SocketKind, Ask]] = MappingProxyType(
    {
        CheckKind.NONE: (_STREAM, _unasked),
        CheckKind.TTL: (_STREAM, _unasked),  # reports itself, see probes
        CheckKind.TCP: (_STREAM, _tcp),
        CheckKind.TLS: (_STREAM, _tls),
        CheckKind.HTTP: (_STREAM, http_check.ask),
        CheckKind.HTTPS: (_STREAM, http_check.ask),
        CheckKind.UDP: (_DATAGRAM, datagram_checks.udp),
        CheckKind.DNS: (_DATAGRAM, datagram_checks.dns),
    },
)


async def _silence(check: Check, bound: Bound | None, wired: Wired | None) -> Result | Unmade:
    """A UDP server that is not asked anything it knows may stay silent.

    A dead one's host may, too: it says "port unreachable" once a second at most (icmp_ratelimit).
    And a host that is away says nothing at all.
    """
    reason = _silent(check)
    if check.how.kind is not CheckKind.UDP or check.how.expect:
        return Result(passed=False, reason=reason)
    try:
        is_bound = None if bound is None else await bound(check)
    except lookups.Hangs as exc:
        return Unmade(exc.sentence)
    if is_bound is False:
        words = f"{reason}, and no socket has UDP port {check.how.port}"
        return Result(passed=False, reason=words, heard=Heard.NOBODY)
    if wired is not None and not await wired(check):
        return Result(passed=False, reason=f"{reason}, and nobody answers for its address")
    return Result(passed=True, reason=reason, heard=Heard.SILENCE)


def _silent(check: Check) -> str:
    return f"no answer within {check.how.timeout_s:g} s"


def _plain(exc: ssl.SSLError) -> str:
    """OpenSSL's reason without the library's name and the line of Python's source."""
    said = re.sub(r"^\[[^\]]*\] ?|\s*\(_ssl\.c:\d+\)$", "", exc.reason or str(exc))
    return said.replace("_", " ").lower()


def _words(exc: Exception) -> str:
    if isinstance(exc, errors.SddError):
        return exc.sentence
    if isinstance(exc, OSError) and exc.errno:
        what = f"{exc.filename}: " if isinstance(exc, FileNotFoundError) else ""
        return what + os.strerror(exc.errno).lower()
    return str(exc) or type(exc).__name__

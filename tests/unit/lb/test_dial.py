"""One try against real servers on loopback, one situation each."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Never, cast

import pytest
from dns import flags, message, rcode

from lb import http_check
from lb.checks import Check
from lb.dial import Result, dial, through
from lb.heard import Heard
from lb.unmade import Unmade
from sdd import errors
from sdd.linux import namespaces
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck
from tests import support

PATIENT_S = 60.0
HASTY_S = 0.1


def check(kind: CheckKind, port: int, timeout_s: float = PATIENT_S, **how: Any) -> Check:
    check_how = HealthCheck(kind=kind, port=port, timeout_s=timeout_s)
    return Check(
        service=ids.ServiceId("web"),
        endpoint=ids.EndpointId("one"),
        address=ip_address("127.0.0.1"),
        how=replace(check_how, **how),
        joined=0.0,
    )


async def passes(one: Check) -> bool:
    found = await dial(one)
    assert isinstance(found, Result)
    return found.passed


# --- servers ----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(
    answer: bytes, tls: ssl.SSLContext | None = None, *, hangs: bool = False
) -> AsyncIterator[int]:
    """A stream server that answers `answer` to whatever it reads first; one that `hangs` stays."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if answer:
                await reader.read(4096)
                writer.write(answer)
                await writer.drain()
            if hangs:
                await reader.read()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def answering(reply: bytes | None) -> AsyncIterator[int]:
    """A datagram server; None keeps silent; a question of dns gets its own id back."""

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            if reply is not None:
                self.transport.sendto(reply.replace(b"ID", data[:2], 1), addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    yield transport.get_extra_info("sockname")[1]
    transport.close()


@pytest.fixture
def closed() -> Iterator[int]:
    """A port at which nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose backlog is full: the kernel drops further connection requests."""
    with socket.socket() as deaf, contextlib.ExitStack() as callers:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            one = callers.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        yield deaf.getsockname()[1]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server with a certificate nobody signed."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-subj",
        "/CN=nobody",
        "-days",
        "1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(certificate), Path(key))
    return context


# --- tcp --------------------------------------------------------------------------------------


async def test_a_listening_port_passes() -> None:
    async with serving(b"") as port:
        assert await passes(check(CheckKind.TCP, port))


@pytest.mark.parametrize("kind", [CheckKind.TCP, CheckKind.HTTP, CheckKind.TLS, CheckKind.UDP])
async def test_a_closed_port_fails_and_says_so(closed: int, kind: CheckKind) -> None:
    found = await dial(check(kind, closed, path="/", send="x"))
    assert found == Result(passed=False, reason="connection refused", heard=Heard.NOBODY)


@pytest.mark.parametrize("kind", [CheckKind.TCP, CheckKind.HTTPS])
async def test_silence_fails_after_the_timeout(silent: int, kind: CheckKind) -> None:
    found = await dial(check(kind, silent, timeout_s=HASTY_S, path="/"))
    assert found == Result(passed=False, reason="no answer within 0.1 s")


async def test_no_check_passes(closed: int) -> None:
    assert await passes(check(CheckKind.NONE, closed))


async def test_a_namespace_that_is_gone_is_a_failed_check() -> None:
    async def nowhere(*_: object) -> socket.socket:
        raise errors.NotFound("there is no network namespace at '/ns/a'")

    found = await dial(check(CheckKind.TCP, 1), nowhere)
    assert found == Result(passed=False, reason="there is no network namespace at '/ns/a'")


async def test_without_a_descriptor_left_silence_speaks_against_nobody() -> None:
    """Who has the port is asked in the sandbox, and that takes descriptors."""

    class NoRoom(namespaces.Namespaces):
        async def run(self, path: str, work: object) -> Never:
            del path, work
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with contextlib.closing(NoRoom()) as spaces:
        async with answering(None) as port:
            found = await through(spaces)(check(CheckKind.UDP, port, HASTY_S, send="x"))
    assert isinstance(found, Result)
    assert (found.passed, found.heard) == (True, Heard.SILENCE)


# --- what is for want of something here -------------------------------------------------------


@pytest.mark.parametrize("kind", [CheckKind.TCP, CheckKind.HTTP, CheckKind.TLS, CheckKind.UDP])
async def test_without_a_file_to_spare_nothing_is_said_of_the_member(
    closed: int, kind: CheckKind
) -> None:
    with support.room_for(0):
        found = await dial(check(kind, closed, path="/", send="x"))
    assert found == Unmade("too many open files")


async def test_a_namespace_that_cannot_be_entered_says_nothing_of_the_member() -> None:
    words = "the namespace '/ns/a' cannot be entered: too many open files"

    async def closed(*_: object) -> socket.socket:
        raise errors.KernelRefused(words)

    assert await dial(check(CheckKind.TCP, 1), closed) == Unmade(words)


async def test_that_the_ingress_sandbox_is_away_says_nothing_of_the_member() -> None:
    async def nowhere(*_: object) -> socket.socket:
        raise errors.NotFound("there is no network namespace at '/ns/ingress'")

    by_ingress = replace(check(CheckKind.TCP, 1), is_ingress=True)
    found = await dial(by_ingress, nowhere)
    assert found == Unmade("there is no network namespace at '/ns/ingress'")


async def test_a_wait_for_the_socket_is_none_for_the_member() -> None:
    async def never(*_: object) -> socket.socket:
        return await asyncio.Future()

    inside = replace(check(CheckKind.TCP, 1, HASTY_S), inside="/ns/a")
    assert await dial(inside, never) == Unmade("not begun within 0.1 s")


# --- http -------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize(
    ("answer", "how", "result"),
    [
        (OK, {}, Result(passed=True, reason="HTTP status 200")),
        (OK, {"expect": "ell"}, Result(passed=True, reason="HTTP status 200")),
        (
            OK,
            {"expect": "Length"},
            Result(passed=False, reason="HTTP status 200, but without 'Length'"),
        ),
        (
            b"HTTP/1.0 503 Busy\r\n\r\n",
            {},
            Result(passed=False, reason="HTTP status 503"),
        ),
        (
            b"HTTP/1.0 503 Busy\r\n\r\n",
            {"status_low": 500, "status_high": 599},
            Result(passed=True, reason="HTTP status 503"),
        ),
        (b"SSH-2.0-x\r\n", {}, Result(passed=False, reason="no HTTP answer")),
        (b"HTTP/1.1 2x0 OK\r\n", {}, Result(passed=False, reason="no HTTP answer")),
        (b"", {}, Result(passed=False, reason="no HTTP answer")),
    ],
)
async def test_http_is_judged_by_status_and_body(
    answer: bytes, how: dict[str, Any], result: Result
) -> None:
    async with serving(answer) as port:
        found = await dial(check(CheckKind.HTTP, port, path="/ready", **how))
    assert found == result


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OK, "HTTP status 200"),  # its length is told
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "HTTP status 200"),  # what is wanted was said
        (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n", "HTTP status 200"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, "HTTP status 200"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "HTTP status 200"),
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", "HTTP status 200, but without 'hello'"),
        (
            b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * http_check.BODY_MAX + b"hello",
            "HTTP status 200, but without 'hello'",
        ),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\nhello", "HTTP status 302"),
    ],
)
async def test_no_end_of_the_connection_is_waited_for(answer: bytes, reason: str) -> None:
    async with serving(answer, hangs=True) as port:
        found = await dial(check(CheckKind.HTTP, port, path="/", expect="hello"))
    assert found == Result(passed="without" not in reason, reason=reason)


async def test_a_line_without_end_is_no_answer() -> None:
    async with serving(b"HTTP/1.1 200 " + b"x" * 70_000) as port:
        assert not await passes(check(CheckKind.HTTP, port, path="/"))


async def test_https_and_tls_take_any_certificate(tls: ssl.SSLContext) -> None:
    async with serving(OK, tls) as port:
        web = await dial(check(CheckKind.HTTPS, port, path="/", host="web.test"))
        hand = await dial(check(CheckKind.TLS, port))
    assert web == Result(passed=True, reason="HTTP status 200")
    assert hand == Result(passed=True, reason="TLSv1.3 handshake")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_an_old_server_is_alive_too(tls: ssl.SSLContext) -> None:
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version, tls.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    try:
        async with serving(OK, tls) as port:
            web = await dial(check(CheckKind.HTTPS, port, path="/"))
            hand = await dial(check(CheckKind.TLS, port))
    finally:
        tls.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert web == Result(passed=True, reason="HTTP status 200")
    assert hand == Result(passed=True, reason="TLSv1.1 handshake")


async def test_no_tls_is_a_failed_handshake() -> None:
    async with serving(b"220 hello\r\n") as port:
        found = await dial(check(CheckKind.TLS, port))
    assert found == Result(passed=False, reason="tls: wrong version number")


# --- datagrams --------------------------------------------------------------------------------


async def test_udp_passes_by_an_answer_and_by_silence_when_none_is_expected() -> None:
    async with answering(b"pong") as port:
        found = await dial(check(CheckKind.UDP, port, send="ping", expect="po"))
        assert found == Result(passed=True, reason="an answer of 4 bytes")
        wrong = await dial(check(CheckKind.UDP, port, send="ping", expect="pi"))
        assert wrong == Result(passed=False, reason="an answer without 'pi'")
    async with answering(None) as port:
        silent = await dial(check(CheckKind.UDP, port, HASTY_S, send="x"))
        assert silent == Result(passed=True, reason="no answer within 0.1 s", heard=Heard.SILENCE)
        assert not await passes(check(CheckKind.UDP, port, HASTY_S, send="x", expect="y"))


def dns_reply(code: rcode.Rcode) -> bytes:
    question = message.make_query("web.test", "A", id=0)
    answer = message.make_response(question)
    answer.flags |= flags.AA
    answer.set_rcode(code)
    return b"ID" + answer.to_wire()[2:]


@pytest.mark.parametrize(
    ("reply", "passed", "reason"),
    [
        (dns_reply(rcode.NOERROR), True, "DNS NOERROR"),
        (dns_reply(rcode.NXDOMAIN), True, "DNS NXDOMAIN"),
        (dns_reply(rcode.SERVFAIL), False, "DNS SERVFAIL"),
        (dns_reply(rcode.REFUSED), False, "DNS REFUSED"),
        (b"no dns", False, "no DNS answer"),
        (b"\0\0" + dns_reply(rcode.NOERROR)[2:], False, "an answer to another question"),
    ],
)
async def test_a_name_server_passes_when_it_answers_for_the_name(
    reply: bytes, passed: bool, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda _: 4711)
    async with answering(reply) as port:
        found = await dial(check(CheckKind.DNS, port, host="web.test"))
    assert found == Result(passed=passed, reason=reason)

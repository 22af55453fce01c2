"""One try against real sockets on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address

import pytest

from lb.checks import Check
from lb.dial import Result, dial
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck


def check(kind: CheckKind, port: int, timeout_s: float = 5.0) -> Check:
    return Check(
        service=ids.ServiceId("web"),
        endpoint=ids.EndpointId("one"),
        address=ip_address("127.0.0.1"),
        how=HealthCheck(kind=kind, port=port, timeout_s=timeout_s),
        joined=0.0,
    )


@pytest.fixture
async def listening() -> AsyncIterator[int]:
    async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
def closed() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


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


async def test_a_listening_port_passes(listening: int) -> None:
    assert (await dial(check(CheckKind.TCP, listening))).passed


async def test_a_closed_port_fails_and_says_so(closed: int) -> None:
    assert await dial(check(CheckKind.TCP, closed)) == Result(
        passed=False, reason="connection refused"
    )


async def test_silence_fails_after_the_timeout(silent: int) -> None:
    result = await dial(check(CheckKind.TCP, silent, timeout_s=0.1))
    assert result == Result(passed=False, reason="no answer within 0.1 s")


async def test_no_check_passes(closed: int) -> None:
    assert (await dial(check(CheckKind.NONE, closed))).passed

"""Slow, idle and stuck clients: ended by a deadline, and nobody else waits for them."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from sdd.api.protocol import Patience
from sdd.model.difference import Difference
from sdd.model.event import Action, Kind
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import ask

SHORT = Patience(idle_s=0.4, head_s=0.4, body_s=0.4)
GET = b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
DEADLINE_S = 10.0  # far beyond the patience, for a machine that is busy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


async def trickle(path: Path, begin: bytes, rest: bytes) -> bytes:
    """What a client gets that sends `rest` byte by byte and never ends."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(begin)
    end, reply = time.monotonic() + DEADLINE_S, b""
    for number in range(1 << 20):
        assert time.monotonic() < end, "nobody ended it"
        with suppress(TimeoutError):
            reply += await asyncio.wait_for(reader.read(1 << 16), 0.05)
            if reader.at_eof():
                break
        with suppress(ConnectionError):
            writer.write(rest[number % len(rest) :][:1])
    writer.close()
    return reply


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"GET /v1/status HTTP/1.1\r\nX: ", "head"),
        (b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{", "body"),
        (
            b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n",
            "body",
        ),
    ],
)
async def test_a_byte_now_and_then_is_ended_and_holds_nobody_up(
    path: Path, begin: bytes, part: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with served(Appliance(), path, SHORT):
        slow = asyncio.gather(*(trickle(path, begin, b"a") for _ in range(5)))
        for _ in range(20):
            assert (await ask(path, "GET", "/v1/version"))[0] == 200
        assert not slow.done()
        for reply in await slow:
            head, _, body = reply.partition(b"\r\n\r\n")
            problem = json.loads(body)
            assert head.split()[1] == b"408"
            assert (problem["status"], problem["code"]) == (408, "SDD-API-SLOW")
            assert f"the {part} of the request did not come within 0.4 s" == problem["error"]
            assert problem["hint"]
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_client_that_sends_nothing_is_ended_without_a_word(path: Path) -> None:
    async with served(Appliance(), path, SHORT):
        idle = [await asyncio.open_unix_connection(str(path)) for _ in range(300)]
        assert (await ask(path, "GET", "/v1/version"))[0] == 200
        for reader, writer in idle:
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
            writer.close()


async def test_a_connection_is_kept_for_the_next_request_and_then_ended(path: Path) -> None:
    async with served(Appliance(), path, SHORT):
        reader, writer = await asyncio.open_unix_connection(str(path))
        for _ in range(3):
            writer.write(GET)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            assert head.split()[1] == b"200"
            await asyncio.wait_for(reader.readuntil(b"\n"), DEADLINE_S)
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
        writer.close()


async def test_requests_sent_at_once_are_all_answered(path: Path) -> None:
    async with served(Appliance(), path, SHORT):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(GET * 5)
        replies = await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
    assert replies.count(b"HTTP/1.1 200") == 5


async def test_a_client_that_waits_for_us_has_all_the_time(path: Path) -> None:
    one = Appliance()

    async def checked() -> Sequence[Difference]:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        loop.call_later(3 * SHORT.idle_s, over.set_result, None)
        await over
        return ()

    one.checks = checked
    async with served(one, path, SHORT):
        assert (await ask(path, "GET", "/v1/verify"))[0] == 200


async def test_a_stream_goes_on_as_long_as_its_reader(path: Path) -> None:
    one = Appliance()
    async with served(one, path, SHORT):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readuntil(b'"reload"'), 3 * SHORT.idle_s)
        one.desk.journal.tell(Kind.DAEMON, Action.RELOAD)
        await asyncio.wait_for(reader.readuntil(b'"reload"'), DEADLINE_S)
        writer.close()

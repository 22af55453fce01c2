"""Slow, idle and stuck clients: ended by a deadline, and nobody else waits for them."""

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from sdd import errors
from sdd.api import protocol
from sdd.api.protocol import Patience
from sdd.client import Client
from sdd.model.difference import Difference
from sdd.model.event import Action, Kind
from tests.support import LoopClock, turns
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import ask

SHORT = Patience(idle_s=0.4, head_s=0.4, body_s=0.4, read_s=0.4)
LONG = Patience(idle_s=600, head_s=600, body_s=600, read_s=600)
GET = b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
DEADLINE_S = 60.0  # far beyond the patience, for a machine that is busy


T = TypeVar("T")


async def ended(waiting: asyncio.Future[T], clock: LoopClock) -> T:
    """What comes of it while time passes by some seconds a turn."""
    for _ in range(200):
        if waiting.done():
            break
        clock.forward(LONG.head_s / 40)
        await turns()
    assert waiting.done(), "nobody ended it"
    return waiting.result()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


async def trickle(path: Path, begin: bytes, rest: bytes) -> bytes:
    """What a client gets that sends `rest` byte by byte and never ends.

    A bare socket: a stream of asyncio throws away what came when a byte cannot be sent any more.
    """
    loop, reply = asyncio.get_running_loop(), b""
    with socket.socket(socket.AF_UNIX) as link:
        link.setblocking(False)
        await loop.sock_connect(link, str(path))
        await loop.sock_sendall(link, begin)
        end = time.monotonic() + DEADLINE_S
        for number in range(1 << 20):
            assert time.monotonic() < end, "nobody ended it"
            with suppress(TimeoutError):
                try:
                    got = await asyncio.wait_for(loop.sock_recv(link, 1 << 16), 0.05)
                except ConnectionResetError:
                    got = b""
                if not got:
                    break
                reply += got
            with suppress(ConnectionError):
                await loop.sock_sendall(link, rest[number % len(rest) :][:1])
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
    clock = LoopClock()
    async with served(Appliance(), path, LONG):
        slow = asyncio.gather(*(trickle(path, begin, b"a") for _ in range(5)))
        for _ in range(20):
            assert (await ask(path, "GET", "/v1/version"))[0] == 200
        assert not slow.done()
        for reply in await ended(slow, clock):
            head, _, body = reply.partition(b"\r\n\r\n")
            problem = json.loads(body)
            assert head.split()[1] == b"408"
            assert (problem["status"], problem["code"]) == (408, "SDD-API-SLOW")
            assert f"the {part} of the request did not come within 600 s" == problem["error"]
            assert problem["hint"]
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_client_that_sends_nothing_is_ended_without_a_word(path: Path) -> None:
    async with served(Appliance(), path, SHORT):
        idle = [await asyncio.open_unix_connection(str(path)) for _ in range(200)]
        assert (await ask(path, "GET", "/v1/version"))[0] == 200
        for reader, writer in idle:
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
            writer.close()


async def test_a_connection_is_kept_for_the_next_request_and_then_ended(path: Path) -> None:
    clock = LoopClock()
    async with served(Appliance(), path, LONG), asyncio.TaskGroup() as tasks:
        reader, writer = await asyncio.open_unix_connection(str(path))
        for _ in range(3):
            writer.write(GET)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            assert head.split()[1] == b"200"
            await asyncio.wait_for(reader.readuntil(b"\n"), DEADLINE_S)
        assert await ended(tasks.create_task(reader.read(), name="read"), clock) == b""
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


async def test_a_reader_that_rests_is_ended_and_its_place_is_free(path: Path) -> None:
    one = Appliance()
    async with served(one, path, SHORT):
        _, writer = await asyncio.open_unix_connection(str(path), limit=1)
        writer.write(b"GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        end = time.monotonic() + DEADLINE_S
        while not one.desk.journal.followers:
            await asyncio.sleep(0)
            assert time.monotonic() < end, "it never began to follow"
        while one.desk.journal.followers:  # until every buffer between them is full, and after
            one.desk.journal.tell(Kind.DAEMON, Action.RELOAD, attributes={"name": "x" * 4096})
            await asyncio.sleep(0)
            assert time.monotonic() < end, "nobody ended it"
        writer.close()


async def test_more_clients_than_there_are_places_hear_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 2)
    async with served(Appliance(), path):
        held = [await asyncio.open_unix_connection(str(path)) for _ in range(2)]
        for _, writer in held:
            writer.write(GET)
        for reader, _ in held:
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        with pytest.raises(errors.Unavailable, match="2 clients are connected already") as caught:
            await asyncio.to_thread(Client(f"unix://{path}", DEADLINE_S).get, "/v1/version")
        assert caught.value.code == "SDD-API-FULL"
        assert caught.value.hint
        for _, writer in held:
            writer.close()
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            with suppress(errors.Unavailable):
                await asyncio.to_thread(Client(f"unix://{path}", DEADLINE_S).get, "/v1/version")
                return
        pytest.fail("no place became free")


@pytest.mark.parametrize("wish", [b"100-continue", b"100-Continue"])
async def test_who_asks_before_it_sends_a_body_is_told_to_go_on(path: Path, wish: bytes) -> None:
    body = b'{"name": "lab"}'
    head = b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: %s\r\n\r\n"
    async with served(Appliance(), path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(head % (len(body), wish))
        first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        assert answer.split()[1] == b"201"
        writer.close()


async def test_a_body_that_is_refused_by_its_length_is_not_asked_for(path: Path) -> None:
    head = b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n"
    async with served(Appliance(), path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(head + b"Expect: 100-continue\r\n\r\n")
        first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        assert first.split()[1] == b"413"
        writer.close()

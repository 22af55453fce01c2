"""The stream of events over the real server: what was, what comes, and its bounds."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sdd.api import streams
from sdd.api.server import serve
from sdd.model.event import Action, Kind
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import ask


async def opened(path: Path, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(f"GET {url} HTTP/1.0\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == b"200"
    while await reader.readline() != b"\r\n":
        pass
    return reader, writer


async def lines(path: Path, url: str) -> list[dict[str, Any]]:
    reader, writer = await opened(path, url)
    text = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return [json.loads(line) for line in text.splitlines()]


async def test_what_was_is_told_in_order(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with served(Appliance(), path):
        await ask(path, "POST", "/v1/networks", {"name": "lab"})
        await ask(path, "DELETE", "/v1/networks/lab")
        created, destroyed = await lines(path, "/v1/events")
        assert created["Type"] == "network"
        assert created["Action"] == "create"
        assert created["Actor"]["Attributes"] == {"name": "lab", "driver": "bridge"}
        assert (destroyed["Action"], destroyed["Number"]) == ("destroy", 2)
        assert await lines(path, "/v1/events?since=1000001") == [destroyed]


async def test_a_follower_hears_at_once_and_a_silent_line_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.02)
    one, path = Appliance(), tmp_path / "s"
    async with served(one, path):
        reader, writer = await opened(path, "/v1/events?follow=true")
        assert await asyncio.wait_for(reader.readline(), 60) == b"\n"
        await ask(path, "POST", "/v1/networks", {"name": "lab"})
        while (line := await asyncio.wait_for(reader.readline(), 60)) == b"\n":
            pass
        assert json.loads(line)["Actor"]["Attributes"]["name"] == "lab"
        writer.close()
        async with asyncio.timeout(60):
            while one.desk.journal.followers:  # noqa: ASYNC110 - nothing tells when it leaves
                await asyncio.sleep(0.01)


async def test_followers_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_FOLLOWERS", 1)
    one, path = Appliance(), tmp_path / "s"
    one.desk.journal.tell(Kind.DAEMON, Action.START)
    async with served(one, path):
        reader, writer = await opened(path, "/v1/events?follow=true")
        await reader.readline()
        status, problem = await ask(path, "GET", "/v1/events?follow=true")
        assert (status, problem["code"]) == (503, "SDD-STREAM-FULL")
        writer.close()


async def test_a_wrong_time_is_refused_before_the_stream(tmp_path: Path) -> None:
    async with served(Appliance(), tmp_path / "s"):
        status, problem = await ask(tmp_path / "s", "GET", "/v1/events?since=yesterday")
        assert (status, problem["code"]) == (400, "SDD-API-QUERY")


async def test_a_server_that_ends_takes_leave_of_its_followers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, path = Appliance(), tmp_path / "s"
    one.desk.journal.tell(Kind.DAEMON, Action.START)
    server = await serve(one.context, [f"unix://{path}"], shutdown_s=600)
    reader, writer = await opened(path, "/v1/events?follow=true")
    assert b"start" in await reader.readline()
    async with asyncio.timeout(60):  # less than others are waited for
        await server.close()
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()
    assert one.desk.journal.followers == 0
    assert "Traceback" not in "".join(capfd.readouterr())

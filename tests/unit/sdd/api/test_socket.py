"""The file of the socket, when others have their hands on it."""

import asyncio
from pathlib import Path

import pytest

from tests import support
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import ask


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


async def test_a_socket_that_somebody_removes_comes_back(path: Path) -> None:
    async with served(Appliance(), path) as server, asyncio.TaskGroup() as group:
        keeper = group.create_task(server.keep(0.01), name="keep")
        mode = path.stat().st_mode
        for _ in range(2):
            path.unlink()
            await support.eventually_async(path.exists, 60, "the file is back")
            await support.eventually_async(lambda: path.stat().st_mode == mode, 60, "as before")
            assert (await ask(path, "GET", "/v1/version"))[0] == 200
        keeper.cancel()
    assert not path.exists()


async def test_a_socket_comes_back_when_there_are_descriptors_again(path: Path) -> None:
    """That there are none is told, and is no end: `sdd.lasting` keeps on."""
    async with served(Appliance(), path) as server:
        path.unlink()
        with support.room_for(0), pytest.raises(OSError, match="Too many open files"):
            await server.keep(0.01)
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(server.keep(0.01), name="keep")
            await support.eventually_async(path.exists, 60, "the file is back")
            assert (await ask(path, "GET", "/v1/version"))[0] == 200
            keeper.cancel()


async def test_what_others_put_in_the_place_of_the_socket_stays(path: Path) -> None:
    async with served(Appliance(), path) as server, asyncio.TaskGroup() as group:
        keeper = group.create_task(server.keep(0.01), name="keep")
        path.unlink()
        path.write_text("theirs")
        await support.eventually_async(lambda: bool(server._foreign), 60, "it was noticed")
        assert path.read_text() == "theirs"
        path.unlink()
        await support.eventually_async(path.is_socket, 60, "ours is back")
        path.unlink()
        path.write_text("theirs")
        await support.eventually_async(lambda: bool(server._foreign), 60, "it was noticed")
        keeper.cancel()
    assert path.read_text() == "theirs"

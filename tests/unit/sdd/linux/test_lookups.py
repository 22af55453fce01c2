"""A path that hangs keeps one thread and nobody else."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from sdd import errors
from sdd.linux import lookups


class Host:
    """Paths that hang until they are `mended`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.mended = threading.Event()

    def ask(self, path: str) -> int:
        self.asked.append(path)
        if path == "/hangs":
            assert self.mended.wait(10)
        return len(self.asked)


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.mended.set()  # else the loop waits for its threads


async def test_a_path_is_asked_for_each_time(host: Host) -> None:
    one = lookups.Lookups(host.ask)
    assert [await one.inode("/a"), await one.inode("/a")] == [1, 2]


async def test_who_asks_for_a_path_that_hangs_hears_so_and_all_share_one_thread(
    host: Host,
) -> None:
    one = lookups.Lookups(host.ask, patience_s=0.02)
    for _ in range(3):
        with pytest.raises(errors.Unavailable, match="'/hangs'") as caught:
            await one.inode("/hangs")
        assert caught.value.code == "SDD-NETNS-HANGS"
    assert host.asked == ["/hangs"]
    assert await one.inode("/fine") == 2


async def test_a_path_that_was_mended_is_asked_anew(host: Host) -> None:
    one = lookups.Lookups(host.ask, patience_s=5)
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(one.inode("/hangs"), name=f"ask {n}") for n in range(2)]
        given_up = tasks.create_task(one.inode("/hangs"), name="given up")
        await asyncio.sleep(0)
        given_up.cancel()  # takes the look from nobody else
        host.mended.set()
    assert [each.result() for each in asking] == [1, 1]
    assert await one.inode("/hangs") == 2

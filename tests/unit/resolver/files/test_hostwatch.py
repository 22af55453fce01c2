import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.files import hostwatch


def rewrite(file: Path) -> None:
    file.write_text("nameserver 10.0.0.2\n")


def rename(file: Path) -> None:
    other = file.with_name("new")
    other.write_text("nameserver 10.0.0.2\n")
    other.replace(file)


def swap(file: Path) -> None:
    target = file.parent / "run" / "other"
    target.write_text("nameserver 10.0.0.2\n")
    link = file.with_name("link")
    link.symlink_to(target)
    link.replace(file)


def behind(file: Path) -> None:
    rename(file.parent / "run" / "stub")


def linked(folder: Path) -> Path:
    (folder / "run").mkdir()
    (folder / "run" / "stub").write_text("nameserver 10.0.0.1\n")
    (folder / "resolv.conf").symlink_to("run/stub")
    return folder / "resolv.conf"


def plain(folder: Path) -> Path:
    (folder / "run").mkdir()
    (folder / "resolv.conf").write_text("nameserver 10.0.0.1\n")
    return folder / "resolv.conf"


@pytest.mark.parametrize(
    ("make", "change"),
    [(plain, rewrite), (plain, rename), (plain, swap), (linked, behind), (linked, swap)],
)
async def test_X8_every_way_to_change_the_hosts_file_is_noticed(
    tmp_path: Path, make: Callable[[Path], Path], change: Callable[[Path], None]
) -> None:
    file = make(tmp_path)
    noticed = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(hostwatch.follow([file], noticed.set))
        await asyncio.sleep(0)  # it watches before anything changes
        for _ in range(2):  # and goes on after the first
            change(file)
            async with asyncio.timeout(10):
                await noticed.wait()
            await asyncio.sleep(0)
            noticed.clear()
        follower.cancel()


def test_folders_are_those_of_all_links_and_loops_end(tmp_path: Path) -> None:
    assert list(hostwatch.folders(linked(tmp_path))) == [tmp_path, tmp_path / "run"]
    (tmp_path / "loop").symlink_to("loop")
    assert len(list(hostwatch.folders(tmp_path / "loop"))) == hostwatch.MOST_LINKS

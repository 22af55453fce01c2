import asyncio
import contextlib
import functools
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from resolver.files import hostwatch
from sdd.linux import inotify, inotify_instance, ways
from tests.support import eventually_async


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


def elsewhere(file: Path) -> None:
    """The same inode is written in another folder, as below a bind mount."""
    rewrite(file.parent / "mounted" / "resolv.conf")


def also_elsewhere(folder: Path) -> Path:
    file = plain(folder)
    (folder / "mounted").mkdir()
    (folder / "mounted" / "resolv.conf").hardlink_to(file)
    return file


def linked(folder: Path) -> Path:
    (folder / "run").mkdir()
    (folder / "run" / "stub").write_text("nameserver 10.0.0.1\n")
    (folder / "resolv.conf").symlink_to("run/stub")
    return folder / "resolv.conf"


def plain(folder: Path) -> Path:
    (folder / "run").mkdir()
    (folder / "resolv.conf").write_text("nameserver 10.0.0.1\n")
    return folder / "resolv.conf"


def behind_a_folder_that_is_a_link(folder: Path) -> Path:
    for number in range(2):
        (folder / f"run{number}").mkdir()
        (folder / f"run{number}" / "stub").write_text(f"nameserver 10.0.0.{number}\n")
    (folder / "current").symlink_to("run0")
    (folder / "resolv.conf").symlink_to("current/stub")
    return folder / "resolv.conf"


def switch(file: Path) -> None:
    current = file.with_name("current")
    link = file.with_name("next")
    link.symlink_to("run1" if current.readlink() == Path("run0") else "run0")
    link.replace(current)


def of_a_service_that_comes_later(folder: Path) -> Path:
    (folder / "resolv.conf").symlink_to("late/resolve/stub")
    return folder / "resolv.conf"


def comes_or_comes_again(file: Path) -> None:
    late = file.with_name("late")
    shutil.rmtree(late, ignore_errors=True)
    (late / "resolve").mkdir(parents=True)
    (late / "resolve" / "stub").write_text("nameserver 10.0.0.3\n")


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (plain, rewrite),
        (also_elsewhere, elsewhere),
        (plain, rename),
        (plain, swap),
        (linked, behind),
        (linked, swap),
        (behind_a_folder_that_is_a_link, switch),
        (of_a_service_that_comes_later, comes_or_comes_again),
    ],
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
            async with asyncio.timeout(60):
                await noticed.wait()
            await asyncio.sleep(0)
            noticed.clear()
        follower.cancel()


async def test_what_lies_beside_the_file_is_no_change(tmp_path: Path) -> None:
    file = plain(tmp_path)
    told: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(hostwatch.follow([file], lambda: told.append("changed")))
        await asyncio.sleep(0)
        file.with_name("other").write_text("mine")
        await asyncio.sleep(0)  # its event comes before that of the file
        rename(file)
        await eventually_async(lambda: told, 60, "the change is told")
        follower.cancel()
    assert told == ["changed"]


@contextlib.asynccontextmanager
async def _reading(file: Path, read: list[str]) -> AsyncIterator[None]:
    """What the file holds goes into `read` whenever a change is told."""
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(
            hostwatch.follow([file], lambda: read.append(file.read_text()))
        )
        await asyncio.sleep(0)
        yield
        follower.cancel()


async def test_a_file_that_is_empty_for_a_moment_is_not_read(tmp_path: Path) -> None:
    file, read = plain(tmp_path), list[str]()
    async with _reading(file, read):
        emptied = asyncio.get_running_loop().time()
        file.write_text("")
        passed = functools.partial(_is_later, emptied + 3 * hostwatch.SETTLE_S)
        await eventually_async(passed, 60, "whoever writes takes his time")
        rewrite(file)
        await eventually_async(lambda: read, 60, "the change is told")
    assert read == ["nameserver 10.0.0.2\n"]


async def test_a_file_that_stays_empty_is_read(tmp_path: Path) -> None:
    file, read = plain(tmp_path), list[str]()
    async with _reading(file, read):
        file.write_text("")
        await eventually_async(lambda: read, 60, "it is believed")
    assert read == [""]


def _is_later(than: float) -> bool:
    return asyncio.get_running_loop().time() >= than


async def test_it_is_looked_again_without_an_event(tmp_path: Path) -> None:
    told = asyncio.Event()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(60):
        follower = tasks.create_task(hostwatch.follow([plain(tmp_path)], told.set, 0.01))
        await told.wait()
        follower.cancel()


async def test_without_inotify_it_is_looked_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify, "BLIND_S", 0.01)
    monkeypatch.setattr(inotify_instance, "FLAGS", -1)  # the kernel refuses to make an instance
    told = asyncio.Event()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(60):
        follower = tasks.create_task(hostwatch.follow([plain(tmp_path)], told.set))
        await told.wait()
        follower.cancel()


def test_names_are_those_of_all_links_and_loops_end(tmp_path: Path) -> None:
    above = [(each.parent, each.name) for each in reversed([tmp_path, *tmp_path.parents][:-1])]
    assert list(hostwatch.names(linked(tmp_path))) == [
        *above,
        (tmp_path, "resolv.conf"),
        (tmp_path, "run"),
        (tmp_path / "run", "stub"),
    ]
    (tmp_path / "loop").symlink_to("loop")
    assert len(list(hostwatch.names(tmp_path / "loop"))) == len(above) + ways.MOST_LINKS + 1


def test_dots_and_absolute_links_lead_where_the_kernel_goes(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "resolv.conf").symlink_to("../run/stub")
    (tmp_path / "run").symlink_to(tmp_path / "var")
    assert (tmp_path, "var") in hostwatch.names(tmp_path / "etc" / "resolv.conf")
    assert (tmp_path / "etc", "..") not in hostwatch.names(tmp_path / "etc" / "resolv.conf")

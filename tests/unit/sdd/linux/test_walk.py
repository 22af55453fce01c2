"""Step by step one comes where the kernel would, and never to where others are stuck."""

import errno
import gc
import os
import threading
from collections.abc import Hashable
from concurrent import futures
from pathlib import Path
from typing import Never

import pytest

from sdd.linux import walk
from tests.support import eventually


def inode(path: str, walks: walk.Walks | None = None) -> int:
    entry = (walks or walk.Walks(60)).open(path)
    os.close(entry.descriptor)
    return entry.known.inode


def test_links_lead_where_the_kernel_is_led(tmp_path: Path) -> None:
    (tmp_path / "deep" / "below").mkdir(parents=True)
    (tmp_path / "deep" / "file").write_text("")
    (tmp_path / "near").symlink_to("deep/below/../file")
    (tmp_path / "far").symlink_to(tmp_path / "near")
    (tmp_path / "folder").symlink_to("deep")
    for path in ("deep", "deep/file", "near", "far", "folder/file", "folder/below/.././/file", ""):
        assert inode(f"{tmp_path}/{path}") == (tmp_path / path).stat().st_ino
    assert inode(os.path.relpath(tmp_path)) == tmp_path.stat().st_ino
    assert inode("/") == Path("/").stat().st_ino


def test_links_that_proc_makes_up_are_followed(tmp_path: Path) -> None:
    pid = os.getpid()
    for path in (f"/proc/{pid}/ns/net", f"/proc/{pid}/root/proc/self/ns/net", "/proc/self/cwd"):
        assert inode(path) == Path(path).stat().st_ino
    (tmp_path / "link").symlink_to(f"/proc/{pid}/ns/net")
    assert inode(f"{tmp_path}/link") == Path("/proc/self/ns/net").stat().st_ino


def test_what_is_absent_or_goes_round_is_told_as_by_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "round").symlink_to("round")
    gc.collect()  # what others have dropped is closed before, not meanwhile
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - its own descriptor is in both
    with pytest.raises(FileNotFoundError):
        inode(f"{tmp_path}/none/file")
    with pytest.raises(NotADirectoryError):
        inode(f"{tmp_path}/file/below")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        inode(f"{tmp_path}/round")
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - as above


def test_where_somebody_is_stuck_nobody_follows_and_the_rest_is_free(tmp_path: Path) -> None:
    walks, leave = walk.Walks(0.02), threading.Event()
    device, elsewhere = tmp_path.stat().st_dev, Path("/proc").stat().st_dev
    assert device != elsewhere
    with futures.ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(_stay, walks, device, leave)
        try:
            with pytest.raises(TimeoutError):
                until_refused(tmp_path, walks)
            with walks.within(elsewhere):
                pass
        finally:
            leave.set()
        stuck.result()
    assert inode(str(tmp_path), walks) == tmp_path.stat().st_ino


def test_one_name_that_hangs_closes_no_file_system_but_several_do(tmp_path: Path) -> None:
    walks, leave, device = walk.Walks(0.02), threading.Event(), tmp_path.stat().st_dev
    number = tmp_path.parent.stat().st_ino
    with futures.ThreadPoolExecutor(walk.EACH) as pool:
        stuck = [pool.submit(_stay, walks, device, leave, (number, tmp_path.name))]
        try:
            with pytest.raises(TimeoutError):
                until_refused(tmp_path, walks)
            assert inode(str(tmp_path.parent), walks) == number
            stuck += [pool.submit(_stay, walks, device, leave, n) for n in range(1, walk.EACH)]
            with pytest.raises(TimeoutError):
                until_refused(tmp_path.parent, walks)
        finally:
            leave.set()
        for each in stuck:
            each.result()


def test_only_a_few_go_into_one_file_system_at_once(tmp_path: Path) -> None:
    walks, leave, device = walk.Walks(60), threading.Event(), tmp_path.stat().st_dev
    with futures.ThreadPoolExecutor(walk.EACH + 1) as pool:
        inside = [pool.submit(_stay, walks, device, leave) for _ in range(walk.EACH)]
        waiting = pool.submit(inode, str(tmp_path), walks)
        leave.set()
        assert waiting.result(60) == tmp_path.stat().st_ino
        for each in inside:
            each.result()


def test_who_waits_outside_does_so_for_a_while(tmp_path: Path) -> None:
    walks, leave, device = walk.Walks(60), threading.Event(), tmp_path.stat().st_dev
    with futures.ThreadPoolExecutor(walk.EACH) as pool:
        inside = [pool.submit(_stay, walks, device, leave) for _ in range(walk.EACH)]
        try:
            eventually(lambda: len(walks._inside.get(device, ())) == walk.EACH, 60, "all are in")
            walks._patience_s = 0.05  # before, the last ones would have met stuck ones
            with pytest.raises(TimeoutError):
                until_refused(tmp_path, walks)
        finally:
            leave.set()
        for each in inside:
            each.result()


def until_refused(path: Path, walks: walk.Walks) -> Never:
    while True:  # until those who are inside count as stuck
        inode(str(path), walks)


def _stay(walks: walk.Walks, device: int, leave: threading.Event, name: Hashable = None) -> None:
    with walks.within(device, name):
        assert leave.wait(90)

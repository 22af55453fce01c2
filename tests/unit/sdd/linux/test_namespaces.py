"""What needs no privilege: recognising namespace files and saying what is wrong."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from sdd import errors
from sdd.linux import namespaces


def test_inode_is_the_kernels_number() -> None:
    assert namespaces.inode("/proc/self/ns/net") == Path("/proc/self/ns/net").stat().st_ino


def test_inode_of_nothing_and_of_a_plain_file_is_zero(tmp_path: Path) -> None:
    plain = tmp_path / "left-by-a-crash"
    plain.touch()
    assert namespaces.inode(str(plain)) == 0
    assert namespaces.inode(str(tmp_path / "absent")) == 0


def test_a_namespace_is_held_by_a_path_of_its_own() -> None:
    held = namespaces.hold("/proc/self/ns/net")
    assert held is not None
    assert namespaces.inode(held.path) == namespaces.inode("/proc/self/ns/net")
    held.close()
    assert namespaces.inode(held.path) == 0


def test_what_is_no_namespace_is_not_held(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").touch()
    for name in ("pipe", "plain", "absent"):
        assert namespaces.hold(str(tmp_path / name)) is None


@pytest.mark.kernel
def test_work_runs_in_a_dedicated_thread_never_in_the_callers() -> None:
    doors = namespaces.Namespaces()
    try:
        seen = asyncio.run(doors.run("", threading.current_thread))
    finally:
        doors.close()
    assert seen is not threading.current_thread()
    assert seen.name.startswith("netns")


@pytest.mark.kernel
def test_entering_what_is_no_namespace_names_the_path(tmp_path: Path) -> None:
    doors = namespaces.Namespaces()
    try:
        with pytest.raises(errors.NotFound, match="absent"):
            doors.run_sync(str(tmp_path / "absent"), threading.current_thread)
    finally:
        doors.close()

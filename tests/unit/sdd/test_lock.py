"""One daemon per root, also against another process and after a death."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sdd import errors, lock

HOLDER = """
import pathlib, sys
from sdd import lock
with lock.held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_refused_and_told_who_holds(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(errors.Conflict, match=rf"process {other.pid}\) already uses"),
            lock.held(tmp_path),
        ):
            pass
        other.kill()
    with lock.held(tmp_path):
        assert (tmp_path / lock.FILE).read_text() == f"{os.getpid()}\n"


def test_the_root_is_made_and_free_again_afterwards(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    for _ in range(2):
        with lock.held(root):
            assert root.is_dir()


def test_a_root_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.Denied, match="cannot be used"), lock.held(tmp_path / "file" / "x"):
        pass


ALONE = """
import sys
from sdd import lock
with lock.alone(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_daemon_of_a_network_namespace_is_refused_until_the_first_dies() -> None:
    name = f"t-sdd-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-c", ALONE, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(errors.Conflict, match=rf"process {other.pid}\)"), lock.alone(name):
            pass
        other.kill()
    with lock.alone(name):
        pass


def test_a_name_that_nobody_listens_at_is_in_nobodys_way() -> None:
    name = f"t-sdd-{os.getpid()}-idle"
    with socket.socket(socket.AF_UNIX) as idle:
        idle.bind(f"\0{name}")
        with lock.alone(name):
            pass

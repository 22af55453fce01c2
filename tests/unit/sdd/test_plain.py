"""What is no plain file is neither waited for nor read, and of a plain one not more than asked."""

import errno
import os
from pathlib import Path

import pytest

from sdd import plain
from tests.support import at_once


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    made = tmp_path / "pipe"
    os.mkfifo(made)
    return made


def test_a_file_is_read_as_far_as_asked(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"12345")
    link.symlink_to(file)
    assert plain.read(file, 99) == plain.read(str(link), 99) == b"12345"
    assert plain.read(file, 3) == b"123"
    assert plain.read("/proc/self/comm", 99)


def test_what_is_no_plain_file_is_said_at_once(tmp_path: Path, pipe: Path) -> None:
    for each, number in (
        (pipe, errno.EINVAL),
        (Path("/dev/zero"), errno.EINVAL),
        (tmp_path, errno.EISDIR),
        (tmp_path / "none", errno.ENOENT),
    ):
        for look in (plain.read, plain.check):
            with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is compared
                at_once(lambda: look(each, 99))  # noqa: B023 - called at once
            assert caught.value.errno == number


def test_one_that_is_too_large_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(2049))
    assert plain.check(file, 2049).st_size == 2049
    with pytest.raises(OSError, match="larger than 2 KiB"):
        plain.check(file, 2048)


@pytest.mark.parametrize("lasting", [False, True])
def test_what_is_written_takes_the_place_of_whatever_is_there(pipe: Path, *, lasting: bool) -> None:
    os.mkfifo(pipe.with_suffix(".new"))
    at_once(lambda: plain.replace(pipe, b"new", lasting=lasting))
    assert plain.read(pipe, 99) == b"new"
    assert [each.name for each in pipe.parent.iterdir()] == [pipe.name]

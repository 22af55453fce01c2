"""A file that is written in place says all of the new text, or the old one."""

import errno
import os
from pathlib import Path

import pytest

from resolver.files import folders
from tests.support import largest_file

OLD = b"127.0.0.1\tlocalhost\n" * 100


@pytest.mark.parametrize("size", [0, 1, len(OLD) - 1, len(OLD), len(OLD) + 1])
def test_the_same_inode_says_the_new_text(tmp_path: Path, size: int) -> None:
    file = tmp_path / "hosts"
    file.write_bytes(OLD)
    inode = file.stat().st_ino
    with folders.opened(tmp_path) as folder:
        folders.overwrite(folder, "hosts", b"x" * size)
    assert (file.read_bytes(), file.stat().st_ino) == (b"x" * size, inode)


@pytest.mark.parametrize("room", [len(OLD), 3000, 4999])
def test_without_room_for_all_of_it_the_old_text_stays(tmp_path: Path, room: int) -> None:
    """A limit on files does as a full disk: it takes a part of the write, and no error is told."""
    file = tmp_path / "hosts"
    file.write_bytes(OLD)
    with (
        folders.opened(tmp_path) as folder,
        largest_file(room),
        pytest.raises(OSError, match=os.strerror(errno.EFBIG)),
    ):
        folders.overwrite(folder, "hosts", b"x" * 5000)
    assert file.read_bytes() == OLD

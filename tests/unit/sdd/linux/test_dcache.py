"""What the kernel knows by heart is told; what it would have to ask for is not."""

import contextlib
import os
from pathlib import Path

import pytest

from sdd.linux import dcache


def test_a_file_that_was_just_seen_is_known(tmp_path: Path) -> None:
    file = tmp_path / "one"
    file.write_text("")
    there = file.stat()
    entry = dcache.find(str(file))
    assert entry is not None
    os.close(entry.descriptor)
    assert entry.known[:2] == (there.st_dev, there.st_ino)


def test_what_is_absent_is_absent_or_unknown(tmp_path: Path) -> None:
    """File systems differ in what they let the kernel remember."""
    file = tmp_path / "one"
    file.write_text("")
    for absent in (tmp_path / "none", file / "below"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            assert dcache.find(str(absent)) is None


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        dcache.find("/tmp\0/one")


def test_links_that_the_kernel_makes_up_are_unknown() -> None:
    """/proc tells where they lead only to whoever may wait."""
    assert dcache.find("/proc/self/ns/net") is None

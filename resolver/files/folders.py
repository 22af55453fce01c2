"""The plain files of one open directory: no symlink is followed, whatever somebody put there.

In: a directory's descriptor and a name without slashes. Out: bytes, or files. Blocking; raises
`OSError`.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOST: Final = 1 << 20  # bytes of a file we read back; ours are far below
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Its descriptor, until the end of the block."""
    descriptor = os.open(path, _DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(folder: int, name: str) -> bytes | None:
    """The content of a plain file; None when there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MOST)
    finally:
        os.close(descriptor)


def overwrite(folder: int, name: str, content: bytes) -> None:
    """The same inode says `content`, as `rewrite` has it."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        rewrite(descriptor, content)
    finally:
        os.close(descriptor)


def rewrite(file: int, content: bytes) -> None:
    """The file says `content`, in one write; where there is no room for it, what it said before.

    A full disk takes a part of a write and tells nothing: only the next one says why.
    """
    before = os.pread(file, MOST, 0)
    whole = content.ljust(len(before), b"\n")
    written = 0
    try:
        while written < len(whole):
            written += os.pwrite(file, whole[written:], written)
        os.ftruncate(file, len(content))
    except OSError:
        with contextlib.suppress(OSError):
            os.pwrite(file, before, 0)
            os.ftruncate(file, len(before))
        raise


def replace(folder: int, name: str, content: bytes, mode: int = 0o644) -> None:
    """A new file under the name, complete from its first moment."""
    draft = _draft(name)
    unlink(folder, draft)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, mode, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


def remove(folder: int, name: str) -> bool:
    """The same as `unlink`, with what a `replace` cut short may have left."""
    unlink(folder, _draft(name))
    return unlink(folder, name)


def _draft(name: str) -> str:
    return f".{name}.new"


def unlink(folder: int, name: str) -> bool:
    """Whether there was something that could be removed."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    return True

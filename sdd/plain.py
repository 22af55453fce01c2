"""Plain files in places where anybody may have put something else: a pipe, a device, a huge file.

In: paths. Out: bytes, never more than asked for, or `OSError`: `NotPlain` for those. Whoever opens
a pipe waits for one who writes into it, and to open a device may do something: neither is done.
"""

import errno
import os
import stat
from pathlib import Path

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NotPlain(OSError):
    """There is something, and it is no plain file."""


def check(path: Path | str, most: int | None = None) -> os.stat_result:
    """What the file is; raises `OSError` for no plain one, and for one of more than `most` bytes.

    For what can only be opened by others.
    """
    return _checked(os.stat(path), path, most)  # noqa: PTH116 - text or a path


def read(path: Path | str, most: int) -> bytes:
    """The first `most` bytes of the file; raises `OSError`, also for what is no plain one."""
    check(path)
    with os.fdopen(os.open(path, _READ), "rb") as file:
        _checked(os.fstat(file.fileno()), path)  # it may be another one by now
        return file.read(most)


def drain(path: Path | str, most: int) -> bytes:
    """The first `most` bytes of whatever it is: of a pipe, what others write until they are done.

    For what somebody named who waits for it; raises `OSError`.
    """
    with open(path, "rb", opener=lambda name, how: os.open(name, how | os.O_NOCTTY)) as file:
        return file.read(most)


def replace(path: Path, content: bytes, *, lasting: bool = False) -> None:
    """The file says `content`, whole or not at all; `lasting`: also after the power failed.

    Raises `OSError`.
    """
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)  # of one who was killed, or whatever somebody put there
    with os.fdopen(os.open(draft, _NEW, 0o666), "wb") as file:
        file.write(content)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)


def _checked(found: os.stat_result, path: Path | str, most: int | None = None) -> os.stat_result:
    if stat.S_ISDIR(found.st_mode):
        raise NotPlain(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise NotPlain(errno.EINVAL, "it is no plain file", str(path))
    if most is not None and found.st_size > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 10} KiB", str(path))
    return found

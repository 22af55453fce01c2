"""openat2(2): open a path that cannot lead out of where it may be looked for.

In: a directory's descriptor, a path, how it may be resolved. Out: a descriptor, or `OSError` with
the kernel's errno. Source: include/uapi/linux/openat2.h, man openat2.
"""

import ctypes
import enum
import errno
import functools
import os
from typing import Final

AT_FDCWD: Final = -100
TRIES: Final = 64  # somebody renames in a loop: the kernel cannot say whether ".." stayed inside
_NUMBER: Final = 437  # the same on every architecture


class Resolve(enum.IntFlag):
    """What the look-up of the path refuses (ELOOP, EXDEV), or takes as its root."""

    NO_XDEV = 0x01  # what is mounted on the way
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04  # implies the one above
    IN_ROOT = 0x10  # "/" and ".." end at the directory, as after chroot
    CACHED = 0x20  # what would have to wait for a file system is refused (EAGAIN)


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def openat2(directory: int, path: str, flags: int, resolve: Resolve) -> int:
    """The descriptor of what `path` means from `directory`, closed on exec; nothing is created."""
    if "\0" in path:
        raise ValueError("embedded null character")  # as os.open: C would see what is before it
    how = _How(flags=flags | os.O_CLOEXEC, mode=0, resolve=int(resolve))
    for _ in range(1 if resolve & Resolve.CACHED else TRIES):
        found = int(
            _libc().syscall(
                ctypes.c_long(_NUMBER),
                ctypes.c_int(directory),
                os.fsencode(path),
                ctypes.byref(how),
                ctypes.c_size_t(ctypes.sizeof(how)),
            )
        )
        if found >= 0:
            return found
        if (number := ctypes.get_errno()) != errno.EAGAIN:
            break
    raise OSError(number, os.strerror(number), path)

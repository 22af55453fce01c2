"""Where a path leads as far as the kernel knows by heart: its cache of names is asked, and nobody.

In: a path. Out: what is there, None when only a look that may wait could tell. A file system that
hangs (FUSE, NFS) is never asked: such a look-up ends with EAGAIN instead (openat2(2),
RESOLVE_CACHED, Linux 5.12), and what is known of a file is told as it is (AT_STATX_DONT_SYNC).
"""

import ctypes
import os
from typing import Final, NamedTuple

from sdd.linux import libc, openat2

_AT_EMPTY_PATH: Final = 0x1000  # include/uapi/linux/fcntl.h
_AT_STATX_DONT_SYNC: Final = 0x4000
_STATX_WHAT: Final = 0x101  # include/uapi/linux/stat.h: STATX_TYPE, STATX_INO
_ABSENT = (FileNotFoundError, NotADirectoryError)


class Known(NamedTuple):
    """What a file is: the numbers that tell which one, and its kind as in `st_mode`."""

    device: int
    inode: int
    mode: int


class Entry(NamedTuple):
    """A descriptor (O_PATH) of a file, to be closed, and what it is."""

    descriptor: int
    known: Known


class _Statx(ctypes.Structure):
    """The first 144 of the 256 bytes of struct statx, with room for the rest."""

    _fields_ = (
        ("before", ctypes.c_uint32 * 7),
        ("mode", ctypes.c_uint16),
        ("inode", ctypes.c_uint64),
        ("between", ctypes.c_uint64 * 12),
        ("device_major", ctypes.c_uint32),
        ("device_minor", ctypes.c_uint32),
        ("rest", ctypes.c_uint64 * 14),
    )


def find(path: str) -> Entry | None:
    """What is at `path`; raises FileNotFoundError or NotADirectoryError where surely nothing is."""
    try:
        opened = openat2.openat2(openat2.AT_FDCWD, path, os.O_PATH, openat2.Resolve.CACHED)
    except _ABSENT:
        raise
    except OSError:
        return None
    try:
        return Entry(opened, known(opened))
    except OSError:
        os.close(opened)
        return None


def known(descriptor: int) -> Known:
    """What an open file is; its file system is not asked."""
    told, how = _Statx(), _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
    libc.statx(descriptor, how, _STATX_WHAT, ctypes.byref(told))
    device = os.makedev(told.device_major, told.device_minor)
    return Known(device, int(told.inode), int(told.mode))

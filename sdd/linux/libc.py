"""The calls that Python 3.11 does not offer: setns, unshare, mount, statx, fstatfs, mallopt.

In: plain values. Out: nothing, or `OSError` with the kernel's errno and the path concerned.
No policy and no threads: who may call these, and where, is `namespaces`' business.
"""

import ctypes
import functools
import os
from typing import Any

CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
MS_BIND = 4096  # include/uapi/linux/mount.h
MS_REC = 16384
MS_SLAVE = 1 << 19
M_ARENA_MAX = -8  # glibc's malloc.h
PROC_SUPER_MAGIC = 0x9FA0  # include/uapi/linux/magic.h
_STATFS_WORDS = 64  # more than struct statfs has, on every architecture
MNT_DETACH = 2  # include/linux/fs.h: leave the tree now, free when the last user is gone


@functools.cache
def _libc() -> ctypes.CDLL:
    # None = the running program: the libc is already there, whatever its file is called.
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, subject: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), subject)


def setns(descriptor: int, subject: str) -> None:
    """Move the calling thread into the network namespace behind `descriptor`."""
    _check(_libc().setns(descriptor, CLONE_NEWNET), subject)


def unshare_network() -> None:
    """Move the calling thread into a new, empty network namespace."""
    _check(_libc().unshare(CLONE_NEWNET), "a new network namespace")


def bind_mount(source: str, target: str) -> None:
    """Make `target` another name of `source`; both exist."""
    arguments = (os.fsencode(source), os.fsencode(target), None, MS_BIND, None)
    _check(_libc().mount(*arguments), target)


def unmount(target: str) -> None:
    """Take the topmost mount off `target` at once, even when it is in use."""
    _check(_libc().umount2(os.fsencode(target), MNT_DETACH), target)


def unshare_mounts() -> None:
    """Give this process mounts of its own: the host's later ones arrive, its own do not leak."""
    _check(_libc().unshare(CLONE_NEWNS), "a new mount namespace")
    _check(_libc().mount(b"none", b"/", None, MS_REC | MS_SLAVE, None), "/")


def unshare_hostname() -> None:
    """Give this process a hostname of its own; it is the host's until it is set."""
    _check(_libc().unshare(CLONE_NEWUTS), "a new UTS namespace")


def mount_sysfs(target: str) -> None:
    """Put a sysfs of the current network namespace over `target`."""
    arguments = (b"sysfs", os.fsencode(target), b"sysfs", 0, None)
    _check(_libc().mount(*arguments), target)


def statx(descriptor: int, flags: int, mask: int, told: Any) -> None:
    """Fill the struct statx behind the pointer `told` with what is asked of the file itself."""
    _check(_libc().statx(descriptor, b"", flags, mask, told), "an open file")


def kind_of_file_system(descriptor: int) -> int:
    """The number (`f_type`) of the kind of file system that an open file is in."""
    told = (ctypes.c_uint32 * _STATFS_WORDS)()
    _check(_libc().fstatfs(descriptor, ctypes.byref(told)), "an open file")
    return int(told[0])


def share_heap() -> None:
    """Let all threads allocate from one heap; a libc that knows no others is left as it is.

    glibc gives each thread one of its own, which keeps what a burst of work took: 5 MiB after a
    hundred networks. One lock is enough: Python runs one thread at a time.
    """
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)

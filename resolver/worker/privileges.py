"""Giving up every privilege for good, before the first byte is read.

In: who to become. Out: a process without groups, capabilities or a way to get any again. Raises
OSError when the kernel does not let go: then nothing may be served. capabilities(7), prctl(2).
"""

import ctypes
import os
from typing import Final

_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_LAST_CAPABILITY: Final = 63  # the kernel answers EINVAL above its own last one


def drop(uid: int, gid: int) -> None:
    """Become `uid` and `gid` without any capability; an ordinary user only gets no_new_privs."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        for capability in range(_LAST_CAPABILITY + 1):
            if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
                break
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)  # leaving uid 0 clears all capability sets
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "no_new_privs")

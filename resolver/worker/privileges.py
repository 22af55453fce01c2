"""Giving up every privilege for good, before the first byte is read.

In: who to become. Out: a process without groups, capabilities or a way to get any again. Raises
OSError when the kernel does not let go: then nothing may be served. capabilities(7), prctl(2).
"""

import ctypes
import grp
import os
import pwd
from typing import Final

_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_LAST_CAPABILITY: Final = 63  # the kernel answers EINVAL above its own last one
SPARE: Final = range(65533, 65500, -1)  # below nobody, as whom others run who could kill us


def identity(user: str) -> tuple[int, int]:
    """(uid, gid) of `user`; where it does not exist a number that nobody has.

    Raises OSError when there is no such number.
    """
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        spare = next((each for each in SPARE if _is_spare(each)), None)
        if spare is None:
            raise OSError(f"there is no user {user}, and no number is free for it") from None
        return spare, spare
    return found.pw_uid, found.pw_gid


def _is_spare(number: int) -> bool:
    for look_up in (pwd.getpwuid, grp.getgrgid):
        try:
            look_up(number)
        except KeyError:
            continue
        return False
    return True


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

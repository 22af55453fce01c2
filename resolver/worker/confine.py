"""What a worker can never do again: leave a process behind, or a socket other than it was lent.

In: nothing. Out: a filter of system calls (seccomp(2), by libseccomp) that this process and all its
threads keep until their end. The sockets of the sandboxes outlive a worker, and one that hostile
bytes took over must neither go on reading them by a child nor leave them deaf for the next one.
Everything here is refused with EPERM: a library that tries learns that it may not, and goes on.
"""

import ctypes
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

LIBRARY: Final = "libseccomp.so.2"
_ALLOW: Final = 0x7FFF0000  # seccomp.h: SCMP_ACT_ALLOW
_REFUSE: Final = 0x00050000  # SCMP_ACT_ERRNO, with the error in the lower half
_NO_SLOW_SPECULATION: Final = 7  # SCMP_FLTATR_CTL_SSB: no code of strangers runs in here
_UNKNOWN: Final = -1  # __NR_SCMP_ERROR: this release of the library does not know the call
_CLONE_THREAD: Final = 0x00010000  # linux/sched.h
_INT: Final = 0xFFFFFFFF  # all that the kernel reads of such an argument
_KIND: Final = 0xF  # of a socket's type, without the flags

# Another program, or another process.
PROCESSES: Final = ("fork", "vfork", "execve", "execveat")
# Into other processes of this user: the worker of another sdd.
OTHERS: Final = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"),
    *("kill", "tkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
)
# What would outlast us on a socket; and the way around all of this.
SOCKETS: Final = ("bind", "shutdown", "io_uring_setup", "io_uring_enter", "io_uring_register")
# Who is sent a signal by what comes at a socket: it would be the next worker. By
# F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOASYNC, FIOSETOWN, SIOCSPGRP (asm-generic/fcntl.h, ioctls.h).
SIGNALS: Final = (("fcntl", (8, 10, 15)), ("ioctl", (0x5452, 0x8901, 0x8902)))
# Whom we talk to; not to programs of this host, which could be given our sockets.
FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
# What asyncio asks of its connections.
OPTION: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY)


class Compare(IntEnum):
    """enum scmp_compare."""

    NOT = 1
    LESS = 2
    IS = 4
    MORE = 6
    MASKED = 7


class Condition(ctypes.Structure):
    """struct scmp_arg_cmp: what an argument of a call must be for a rule to apply."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("compare", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Rule(NamedTuple):
    """A call that is refused when all conditions hold."""

    call: str
    conditions: tuple[Condition, ...] = ()
    error: int = errno.EPERM


def rules() -> Iterator[Rule]:
    """All of them. Arguments are compared as 64 bits: no upper half gets past a limit."""
    yield from map(Rule, (*PROCESSES, *OTHERS, *SOCKETS))
    yield Rule("clone", (Condition(0, Compare.MASKED, _CLONE_THREAD, 0),))
    yield Rule("clone3", error=errno.ENOSYS)  # its flags lie in memory; glibc takes clone then
    yield Rule("tgkill", (Condition(0, Compare.NOT, os.getpid()),))  # abort(3) sends itself one
    yield Rule("prlimit64", (Condition(0, Compare.NOT, 0),))  # 0 is oneself
    for call, commands in SIGNALS:
        for each in commands:
            yield Rule(call, (Condition(1, Compare.MASKED, _INT, each),))
    asks = Condition(2, Compare.MASKED, fcntl.FASYNC, fcntl.FASYNC)
    yield Rule("fcntl", (Condition(1, Compare.MASKED, _INT, fcntl.F_SETFL), asks))
    low, high = sorted(FAMILIES)
    yield Rule("socket", (Condition(0, Compare.LESS, low),))
    yield Rule("socket", (Condition(0, Compare.MORE, high),))
    for each in range(low + 1, high):
        yield Rule("socket", (Condition(0, Compare.IS, each),))
    for each in range(_KIND + 1):
        if each != socket.SOCK_STREAM:  # of which an event loop has one; others send anywhere
            yield Rule("socketpair", (Condition(1, Compare.MASKED, _KIND, each),))
    level, name = OPTION
    yield Rule("setsockopt", (Condition(1, Compare.NOT, level),))
    yield Rule("setsockopt", (Condition(1, Compare.IS, level), Condition(2, Compare.NOT, name)))


def confine() -> None:
    """From now on, for ever. Raises OSError when the kernel or the library does not do it."""
    library = ctypes.CDLL(LIBRARY)  # an OSError that names it when it is not there
    library.seccomp_init.restype = ctypes.c_void_p
    made = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    if not made:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), LIBRARY)
    try:
        library.seccomp_attr_set(made, _NO_SLOW_SPECULATION, 1)  # where it is known
        for rule in rules():
            number = library.seccomp_syscall_resolve_name(rule.call.encode())
            if number == _UNKNOWN:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), f"{LIBRARY}: {rule.call}")
            conditions = (Condition * len(rule.conditions))(*rule.conditions)
            refuse = ctypes.c_uint32(_REFUSE | rule.error)
            count = ctypes.c_uint(len(rule.conditions))
            _check(library.seccomp_rule_add_array(made, refuse, number, count, conditions))
        _check(library.seccomp_load(made))
    finally:
        library.seccomp_release(made)


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result), "seccomp")

"""What a confined process may do no more, tried in one: the filter stays for ever."""

import subprocess
import sys

import pytest

PREPARED = """
import asyncio, ctypes, errno, fcntl, os, resource, signal, socket, struct, subprocess, threading
from resolver.worker import confine, privileges
datagrams, stream = (socket.socket(type=each) for each in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
libc, names = ctypes.CDLL(None, use_errno=True), ctypes.CDLL(confine.LIBRARY)
info = struct.pack('iii', 0, 0, -1).ljust(128, b'\\0')  # siginfo_t with SI_QUEUE

def call(name, *arguments):
    if libc.syscall(names.seccomp_syscall_resolve_name(name), *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

privileges.drop(65533, 65533)
other = subprocess.Popen(['cat'], stdin=subprocess.PIPE)  # of the same user; it ends with us
theirs = os.pidfd_open(other.pid)
confine.confine()
"""


def tried(what: str) -> str:
    """The error that `what` ends with, "done" without one."""
    program = f"{PREPARED}\ntry:\n    {what}\n    print('done')\nexcept OSError as exc:\n"
    program += "    print(errno.errorcode[exc.errno])\n"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "what",
    [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "subprocess.run(['true'])",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getpid(), 9)",
        "call(b'tkill', other.pid, 0)",
        "call(b'tgkill', other.pid, other.pid, 0)",
        "call(b'rt_sigqueueinfo', other.pid, 0, info)",
        "call(b'rt_tgsigqueueinfo', other.pid, other.pid, 0, info)",
        "signal.pidfd_send_signal(theirs, 0)",
        "resource.prlimit(other.pid, resource.RLIMIT_NOFILE, (3, 3))",
        "fcntl.fcntl(datagrams, fcntl.F_SETOWN, -os.getpgrp())",
        "fcntl.fcntl(datagrams, 15, struct.pack('ii', 1, os.getpid()))",  # F_SETOWN_EX
        "fcntl.fcntl(datagrams, fcntl.F_SETSIG, 9)",
        "fcntl.fcntl(datagrams, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)",
        "call(b'fcntl', datagrams.fileno(), ctypes.c_uint64(1 << 32 | fcntl.F_SETSIG), 9)",
        "fcntl.ioctl(datagrams, 0x5452, struct.pack('i', 1))",  # FIOASYNC
        "fcntl.ioctl(datagrams, 0x8901, struct.pack('i', os.getpid()))",  # FIOSETOWN
        "fcntl.ioctl(datagrams, 0x8902, struct.pack('i', os.getpid()))",  # SIOCSPGRP
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socketpair(type=socket.SOCK_DGRAM)",
        "datagrams.setsockopt(socket.SOL_SOCKET, 44, 1)",  # SO_LOCK_FILTER
        "datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)",
        "datagrams.setsockopt(socket.IPPROTO_IP, 21, 255)",  # IP_MINTTL
        "stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)",
        "datagrams.bind(('127.0.0.1', 0))",
        "stream.shutdown(socket.SHUT_RDWR)",
    ],
)
def test_what_would_outlast_a_worker_is_refused(what: str) -> None:
    assert tried(what) == "EPERM"


@pytest.mark.parametrize(
    "what",
    [
        "stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)",
        "socket.socketpair()",
        "datagrams.setblocking(False)",
        "os.set_blocking(datagrams.fileno(), False)",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
        "signal.pthread_kill(threading.get_ident(), 0)",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "threading.Thread(target=print).start()",
        "asyncio.run(asyncio.to_thread(socket.getaddrinfo, 'fe80::1%lo', 53))",
        "datagrams.connect(('127.0.0.1', 53))",
        "stream.listen()",
    ],
)
def test_what_it_needs_goes_on(what: str) -> None:
    assert tried(what) == "done"

"""What a confined process may do no more, tried in one: the filter stays for ever."""

import subprocess
import sys

import pytest

PREPARED = """
import asyncio, errno, os, socket, subprocess, threading
from resolver.worker import confine, privileges
datagrams, stream = (socket.socket(type=each) for each in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
privileges.drop(65533, 65533)
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
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "threading.Thread(target=print).start()",
        "asyncio.run(asyncio.to_thread(socket.getaddrinfo, 'fe80::1%lo', 53))",
        "datagrams.connect(('127.0.0.1', 53))",
        "stream.listen()",
    ],
)
def test_what_it_needs_goes_on(what: str) -> None:
    assert tried(what) == "done"

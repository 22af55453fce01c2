"""A DNS worker that is taken over at SIGUSR1: it does to the sockets what it can, hangs up, lives on.

What it could do stands in `<exec-root>/done`, opened while that was allowed.
"""

import contextlib
import ctypes
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from resolver.worker import process

SO_ATTACH_FILTER = 26
SO_LOCK_FILTER = 44
DROP_ALL = ctypes.create_string_buffer(bytes((6, 0, 0, 0, 0, 0, 0, 0)))  # BPF_RET | BPF_K, 0


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def deafen(link: socket.socket) -> None:
    program = Program(1, ctypes.addressof(DROP_ALL))
    link.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


TRICKS: dict[str, Callable[[socket.socket], object]] = {
    "filter": deafen,
    "lock": lambda link: link.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1),
    "option": lambda link: link.setsockopt(socket.IPPROTO_IP, 21, 255),  # IP_MINTTL
    "device": lambda link: link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"none"),
    "bind": lambda link: link.bind(("127.0.0.1", 0)),
    "shutdown": lambda link: link.shutdown(socket.SHUT_RDWR),
    "connect": lambda link: link.connect(("127.0.0.11", 9)),
    "fork": lambda _: os.fork(),
}


def attack(done: int) -> None:
    for number in range(3, 300):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            link = socket.socket(fileno=number)
            if link.family == socket.AF_INET and link.type == socket.SOCK_DGRAM:
                for name, trick in TRICKS.items():
                    with contextlib.suppress(OSError):
                        trick(link)
                        os.write(done, f"{name}\n".encode())
            if link.family == socket.AF_UNIX:
                link.close()  # sdd hears nothing more, and finds nobody at the address
            else:
                link.detach()
    os.write(done, b"all\n")
    while True:
        time.sleep(1)  # it lives on until it is killed: that is what is tested


def main() -> None:
    root = Path(sys.argv[sys.argv.index("--exec-root") + 1])
    done = os.open(root / "done", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(done, 2)  # the worker closes what it does not know
    signal.signal(signal.SIGUSR1, lambda *_: attack(2))
    process.main()


if __name__ == "__main__":
    main()

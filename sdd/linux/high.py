"""Descriptors that are held for long, under numbers that nobody needs who must have a low one.

libnftables waits by select(), which takes descriptors below 1024 only; a few hundred sockets that
are held for a daemon's life would leave it none.
"""

import fcntl
import os
import socket
from collections.abc import Collection
from typing import Final

FIRST: Final = 1024  # FD_SETSIZE


def number(low: int) -> int:
    """The descriptor under a high number; `low` is closed. Raises OSError where none is allowed."""
    try:
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, FIRST)
    finally:
        os.close(low)


def moved(made: socket.socket) -> socket.socket:
    """The same socket under a high number; `made` is closed. Raises OSError as `number`."""
    return socket.socket(fileno=number(made.detach()))


def all_moved(made: Collection[socket.socket]) -> tuple[socket.socket, ...]:
    """All of them, or OSError and none: `made` are closed in any case."""
    done: list[socket.socket] = []
    try:
        done.extend(map(moved, made))
    except OSError:
        for each in (*done, *made):
            each.close()
        raise
    return tuple(done)

"""One daemon per root and per host: locks that the kernel releases when their holder dies.

In: a directory. Out: the directory made, and held for as long as the context lasts.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from sdd import errors

FILE = "sdd.lock"
NAME = "sdd.host"  # of a unix socket without a file, which belongs to the network namespace
_MOST = 32  # characters read; a process has a number
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """Holds `root`; raises Conflict `SDD-LOCKED` naming the process that holds it already.

    Raises Denied when the directory cannot be made or written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o755)
        # Append mode: the holder's number must not vanish when a second one only asks.
        file = (root / FILE).open("a+")
    except OSError as exc:
        raise errors.Denied(
            f"the directory {root} cannot be used: {exc.strerror}",
            hint="sdd runs as root; choose others with --data-root and --exec-root",
            code="SDD-LOCK-DENIED",
        ) from exc
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            file.seek(0)
            holder = file.read(_MOST).strip() or "unknown"
            raise errors.Conflict(
                f"another sdd (process {holder}) already uses {root}",
                hint="stop it first, or give this one its own --data-root and --exec-root",
                code="SDD-LOCKED",
            ) from exc
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextlib.contextmanager
def alone(name: str = NAME) -> Iterator[None]:
    """Holds the network namespace; raises Conflict `SDD-LOCKED` naming the daemon that is there.

    Two would take each other's links and rules for leftovers, whatever their roots. A socket of
    that name that belongs to another user is no daemon and in nobody's way.
    """
    with socket.socket(socket.AF_UNIX) as held_by_us:
        try:
            held_by_us.bind(f"\0{name}")
            held_by_us.listen(1)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
            if (holder := _holder(name)) is not None:
                raise errors.Conflict(
                    f"another sdd (process {holder}) already serves this network namespace",
                    hint="stop it first; one daemon serves all sandboxes of a host",
                    code="SDD-LOCKED",
                ) from exc
        yield


def _holder(name: str) -> int | None:
    """The process that holds the name, if it is as privileged as we are."""
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(f"\0{name}")
        except OSError:
            return None  # it ended in between, or does not listen
        told = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(told)
    return int(pid) if uid in (0, os.geteuid()) else None

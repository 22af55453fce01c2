"""The numbers that rtnetlink cannot write: files below /proc/sys/net.

The kernel shows the calling thread's namespace there. A file that is absent belongs to
something that the kernel has not got (IPv6 switched off): no error, but for what a user named.
"""

import contextlib
import os
from pathlib import Path

from sdd import fence

SYSTEM = Path("/proc/sys")
ROOT = SYSTEM / "net"


def set6(link: str, name: str, value: int) -> None:
    """Sets one IPv6 number of one link."""
    with contextlib.suppress(FileNotFoundError):
        _put(f"{ROOT}/ipv6/conf/{link}/{name}", value)


def read(path: Path) -> str:
    """What the file says; empty when it is absent."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def write(path: Path, value: int) -> None:
    """Sets the number, if there is such a one."""
    with contextlib.suppress(FileNotFoundError):
        _put(str(path), value)


def number(file: str) -> int | None:
    """What the file below /proc/sys says; None when it is absent or holds no number."""
    text = read(SYSTEM / file)
    try:
        return int(text)
    except ValueError:
        return None


def set_named(file: str, value: int) -> None:
    """Sets what a user named; raises OSError, also when there is no such file."""
    _put(f"{SYSTEM}/{file}", value)


def _put(path: str, value: int) -> None:
    """In two system calls: Python's own files ask for more than the kernel needs."""
    opened = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        with fence.writing():
            os.write(opened, str(value).encode())
    finally:
        os.close(opened)

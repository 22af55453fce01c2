"""A folder on which something is mounted when somebody enters it, by one who never does it.

It is what systemd's automount units and `automount` make, whose server is away. A process of its
own asks for the mount: the kernel lets all of its process group pass.
"""

import ctypes
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MNT_DETACH: Final = 2  # linux/fs.h
_CATATONIC: Final = 0x9362  # linux/auto_fs.h: AUTOFS_IOC_CATATONIC, whoever waits is told no
_VERSION: Final = 5


@contextmanager
def automount(path: Path) -> Iterator[Path]:
    """At `path`, until the end of the block."""
    path.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", __name__, str(path))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as one:
        assert one.stdin
        assert one.stdout
        assert one.stdout.readline() == b"mounted\n"
        try:
            yield path
        finally:
            one.stdin.close()
            assert one.wait(10) == 0


def _serve(path: str) -> None:
    asked, told = os.pipe()
    libc = ctypes.CDLL(None, use_errno=True)
    how = f"fd={told},pgrp={os.getpgrp()},minproto={_VERSION},maxproto={_VERSION},direct"
    if libc.mount(b"automount", os.fsencode(path), b"autofs", 0, how.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    sys.stdout.write("mounted\n")
    sys.stdout.flush()
    sys.stdin.read()
    fcntl.ioctl(root, _CATATONIC)
    os.close(root)
    libc.umount2(os.fsencode(path), _MNT_DETACH)
    os.close(asked)


if __name__ == "__main__":
    _serve(sys.argv[1])

"""A process in a network namespace, mount namespace and root of its own, as runtimes make them.

`python -m tests.guest ROOT [FILE SOURCE]`: bind-mounts SOURCE on FILE of ROOT if given, prints a line
once it is inside, ends with its standard input.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdd.linux import libc


@contextmanager
def guest(root: Path, *mounted: Path) -> Iterator[int]:
    """The pid of a live one with the root directory `root`."""
    command = [sys.executable, "-m", "tests.guest", str(root), *map(str, mounted)]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"inside\n"
        try:
            yield process.pid
        finally:
            assert process.stdin is not None
            process.stdin.close()


def main(root: str, *mounted: str) -> None:
    libc.unshare_network()
    libc.unshare_mounts()
    if mounted:
        file, source = mounted
        libc.bind_mount(source, file)
    os.chroot(root)
    os.chdir("/")
    sys.stdout.write("inside\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])

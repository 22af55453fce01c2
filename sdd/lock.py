"""One daemon per root: a lock file that the kernel releases when its holder dies, however it dies.

In: a directory. Out: the directory made, and held for as long as the context lasts.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sdd import errors

FILE = "sdd.lock"


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
            holder = file.read().strip() or "unknown"
            raise errors.Conflict(
                f"another sdd (process {holder}) already uses {root}",
                hint="stop it first, or give this one its own --data-root and --exec-root",
                code="SDD-LOCKED",
            ) from exc
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield

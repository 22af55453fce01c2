"""Room on a full disk for what must be stored: removals, which make room, and how members are.

Blocking. A file that is given up then. Nothing is stored in it; a disk that has no room for it is
no error.
"""

import contextlib
import os
from pathlib import Path

MOST_BYTES = 1 << 20  # many of them: each writes a few pages to the log
LEAST_BYTES = 1 << 16  # below that it would not do for one


class Reserve:
    """The file beside the database `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-reserve")

    def keep(self) -> bool:
        """Whether it is there; made as large as there is room, if it is not."""
        if self._path.exists():
            return True
        size = MOST_BYTES
        while size >= LEAST_BYTES:
            if self._made(size):
                return True
            size //= 2
        return False

    def give_up(self) -> None:
        """Its room is free for others."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _made(self, size: int) -> bool:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(file, 0, size)
        except OSError:
            self.give_up()
            return False
        finally:
            os.close(file)
        return True

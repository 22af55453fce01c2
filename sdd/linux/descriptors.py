"""The three standard descriptors, whatever the caller left closed.

A process that starts without them gives their numbers to the first files and sockets it opens, and
what is printed then ends up there. Out: 0, 1 and 2 are open.
"""

import os
import sys
from enum import Enum
from io import TextIOWrapper


class Unread(Enum):
    """What becomes of words for a standard output that was closed at the start."""

    LOST = os.O_WRONLY
    REFUSED = os.O_RDONLY  # every write fails with EBADF, as it would have


def fill(output: Unread) -> None:
    """Open what is missing of 0, 1 and 2 on /dev/null; `output` is how 1 behaves."""
    for number, mode in enumerate((os.O_RDONLY, output.value, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken: it is this one, for those below are open.
            os.set_inheritable(os.open(os.devnull, mode), True)
    sys.stdout = sys.stdout or _stream(1)
    sys.stderr = sys.stderr or _stream(2)


def _stream(number: int) -> TextIOWrapper:
    return os.fdopen(number, "w", closefd=False)

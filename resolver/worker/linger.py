"""When a worker that nobody talks to has nothing left to do.

In: whether somebody is connected and anything is served. Out: one call of `leave`. A worker goes
on without sdd as long as it answers somebody; one that answers nobody, or that no sdd can ever
reach again because its control socket was removed, would stay for ever.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

LINGER_S: Final = 10.0  # longer than a restart of sdd takes


class Door:
    """The control socket's file, opened while it may be; it need not be readable later."""

    def __init__(self, path: Path | None) -> None:
        self._file = -1
        if path is not None:
            try:
                self._file = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return  # whether it is removed one day cannot be seen then

    def is_gone(self) -> bool:
        """Whether the file was removed or replaced: an inode without a name (stat(2))."""
        return self._file >= 0 and os.fstat(self._file).st_nlink == 0


def door_of(control: socket.socket, path: Path | None) -> Door:
    """The door of a listening socket: at `path`, else where the socket says that it is bound."""
    name = control.getsockname()
    if path is None and isinstance(name, str) and name.startswith("/"):
        path = Path(name)
    return Door(path)


class Linger:
    """Calls `leave` once the worker was alone and needless for `seconds`.

    `is_needed` says whether anything is served. Nothing is looked at while somebody is connected.
    """

    def __init__(
        self, door: Door, is_needed: Callable[[], bool], leave: Callable[[], None], seconds: float
    ) -> None:
        self._door = door
        self._is_needed = is_needed
        self._leave = leave
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def alone(self) -> None:
        """Nobody is connected from now on."""
        self.accompanied()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def accompanied(self) -> None:
        """Somebody is connected from now on, or it does not matter any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._door.is_gone() or not self._is_needed():
            self._leave()
        else:
            self.alone()

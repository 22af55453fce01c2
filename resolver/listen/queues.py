"""What the kernel dropped of what sandboxes asked, because a listener's queue was full.

In: the listeners. Out: how many datagrams were lost at all of them, for the counters. The kernel
counts them for each socket (sock_diag(7), SO_MEMINFO), so nothing is to be done for any of those
that came.
"""

import socket
import struct
from collections.abc import Iterable
from typing import Final

from resolver import counters, notes

_MEMINFO: Final = 55  # SO_MEMINFO (asm-generic/socket.h), Linux 4.12
_VARIABLES: Final = struct.Struct("9I")  # linux/sock_diag.h
_DROPS: Final = 8  # SK_MEMINFO_DROPS
_WRAPS: Final = 1 << 32


class Queues:
    """The queues of all listeners over UDP that there are and were."""

    def __init__(self, counts: counters.Counters, note: notes.Note = notes.unheard) -> None:
        self._note = note
        self._seen: dict[socket.socket, int] = {}
        self._lost = 0
        counts.fold(self._counted)

    def add(self, link: socket.socket) -> None:
        """Count from now on: what was lost before, another worker counted."""
        self._seen[link] = _drops(link, 0)

    def remove(self, link: socket.socket) -> None:
        """Its time is over, not what was counted; `link` is still open."""
        self._look(link)
        del self._seen[link]

    def _look(self, link: socket.socket) -> None:
        now = _drops(link, self._seen[link])
        self._lost += (now - self._seen[link]) % _WRAPS
        self._seen[link] = now

    def _counted(self) -> Iterable[tuple[tuple[str, ...], float]]:
        before = self._lost
        for link in self._seen:
            self._look(link)
        if self._lost > before:
            more = self._lost - before
            self._note("queue", f"{more} questions were lost: sandboxes ask more than is answered")
        return [((counters.DROPPED, "queue"), self._lost)]


def _drops(link: socket.socket, otherwise: int) -> int:
    """How many datagrams found no room since the socket was opened, modulo 2³²."""
    try:
        data = link.getsockopt(socket.SOL_SOCKET, _MEMINFO, _VARIABLES.size)
    except OSError:
        return otherwise  # an older kernel
    return int(_VARIABLES.unpack(data)[_DROPS]) if len(data) == _VARIABLES.size else otherwise

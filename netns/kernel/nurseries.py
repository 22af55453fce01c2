"""The namespaces that hold macvlan or ipvlan links of ours, and whether one has lost its name.

In: what is found at paths, one after the other. Out: whether a path leads elsewhere now, so that
our links may be left where no path leads. What one process knows the next one does not: it begins
with the suspicion that one was lost meanwhile.
"""

import threading
from collections.abc import Callable, Mapping

DOUBT_S = 5.0  # runtimes swap files, and file systems stall: so long a guest's may be missing


class Nurseries:
    """Path → inode of those gone into; several threads look. `clock` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, int] = {}
        self._missing: dict[str, float] = {}  # since when, of guests
        self._has_lost = True

    def recall(self, missing: Mapping[str, int]) -> None:
        """A former process had been at these paths (→ inode), which lead to no namespace now."""
        with self._lock:
            for path, inode in missing.items():
                self._known.setdefault(path, inode)
                self._missing.setdefault(path, self._clock())

    def enter(self, path: str, inode: int) -> None:
        """Children are, or are about to be, in the namespace at `path`."""
        with self._lock:
            self._known[path] = inode
            self._missing.pop(path, None)

    def see(self, path: str, inode: int, *, is_guest: bool) -> None:
        """What is at `path` now; 0 for nothing. A guest's may be missing for a moment."""
        with self._lock:
            if self._known.get(path, inode) == inode:
                self._missing.pop(path, None)
                return
            self._has_lost = True
            if is_guest and not inode:
                self._missing.setdefault(path, self._clock())
            else:
                self._known.pop(path, None)

    def leave(self, path: str) -> None:
        """The namespace at `path` comes or goes by our own hand."""
        with self._lock:
            self._known.pop(path, None)
            self._missing.pop(path, None)

    def is_sure(self) -> bool:
        """Whether no guest's path is missing that may be back in a moment."""
        with self._lock:
            now = self._clock()
            for path in [each for each, at in self._missing.items() if now - at >= DOUBT_S]:
                del self._missing[path]
                self._known.pop(path, None)
            return not self._missing

    def paths(self) -> frozenset[str]:
        """Where children are, as far as is known."""
        with self._lock:
            return frozenset(self._known)

    def lose(self) -> None:
        """One may have lost its name: what could be left of it was not looked for."""
        with self._lock:
            self._has_lost = True

    def take_lost(self) -> bool:
        """Whether one lost its name since the last call, or before the first."""
        with self._lock:
            lost, self._has_lost = self._has_lost, False
            return lost

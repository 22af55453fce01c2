"""The namespaces that hold macvlan or ipvlan links of ours, and whether one has lost its name.

In: what is found at paths, one after the other. Out: whether a path leads elsewhere now, so that
our links may be left where no path leads. Forgotten with the process.
"""


class Nurseries:
    """Path → inode of those gone into; several threads look."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._has_lost = False

    def enter(self, path: str, inode: int) -> None:
        """Children are, or are about to be, in the namespace at `path`."""
        self._known[path] = inode

    def see(self, path: str, inode: int) -> None:
        """What is at `path` now; 0 for nothing."""
        if self._known.get(path, inode) != inode:
            self._has_lost = True
            self._known.pop(path, None)

    def leave(self, path: str) -> None:
        """The namespace at `path` comes or goes by our own hand."""
        self._known.pop(path, None)

    def take_lost(self) -> bool:
        """Whether one lost its name since the last call."""
        lost, self._has_lost = self._has_lost, False
        return lost

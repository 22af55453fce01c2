"""The adopted namespaces into which a backend put something that does not go with the host's end.

In: paths. Out: the paths that still mean the namespaces gone into. A daemon may be killed between
forgetting a container and cleaning up in it, so the paths are kept as links `<folder>/<inode>`
until nothing of ours is left there. One folder for each backend.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

from sdd import fence
from sdd.linux import lookups, namespaces

_DRAFT = "new"  # no inode: what a kill leaves of it is forgotten with the next look


class Guests:
    """Blocking; for several threads. While a path that may hang is followed, nobody waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def read(self) -> dict[str, int]:
        """Path → inode of those that mean the namespace that we went into; others are forgotten.

        What hangs may be the same as ever: nobody can tell.
        """
        found = {}
        for entry, path, inode in self._looked():
            if _leads(path, inode):
                found[path] = inode
            else:
                self._remove(entry, path)
        return found

    def look(self) -> dict[str, int]:
        """The same, and nothing is forgotten."""
        return {path: inode for _, path, inode in self._looked() if _leads(path, inode)}

    def missing(self) -> dict[str, int]:
        """The same of those whose path leads to no namespace now."""
        entries = [(path, inode) for _, path, inode in self._looked() if inode]
        return {path: inode for path, inode in entries if _is_nowhere(path)}

    def enter(self, path: str) -> None:
        """To be called before anything is put into the namespace at `path`.

        The kernel gives the number of a namespace that ended to the next one: a link that leads
        elsewhere is of the dead.
        """
        inode = namespaces.inode(path)
        if not inode:  # it ended meanwhile, and nothing can be put there
            return
        entry = self._folder / str(inode)
        with self._lock:
            fence.check()  # the path may have hung for longer than the pass
            if _target(entry) != path:
                self._folder.mkdir(parents=True, exist_ok=True)
                draft = self._folder / _DRAFT
                draft.unlink(missing_ok=True)
                draft.symlink_to(path)
                draft.replace(entry)

    def leave(self, path: str, inode: int) -> None:
        """Nothing of ours is left at `path`."""
        self._remove(self._folder / str(inode), path)

    def _remove(self, entry: Path, path: str) -> None:
        """Unless somebody has put another one in its place, or a draft, meanwhile."""
        with self._lock:
            fence.check()
            if _target(entry) == path:
                entry.unlink(missing_ok=True)

    def _looked(self) -> list[tuple[Path, str, int]]:
        """Each of the entries, and one waits for all that hang, not for each."""
        every = list(self._entries())
        lookups.ALL.begin(path for _, path, _ in every)
        return every

    def _entries(self) -> Iterator[tuple[Path, str, int]]:
        """Each link, where it leads, and the inode that it had there; 0 for what is no inode."""
        with self._lock:
            every = list(self._folder.iterdir()) if self._folder.is_dir() else []
            targets = [(entry, _target(entry)) for entry in every]
        for entry, target in targets:
            if target is not None:
                yield entry, target, int(entry.name) if entry.name.isdecimal() else 0


def _leads(path: str, inode: int) -> bool:
    try:
        return bool(inode) and namespaces.inode(path) == inode
    except lookups.Hangs:
        return True


def _is_nowhere(path: str) -> bool:
    try:
        return not namespaces.inode(path)
    except lookups.Hangs:
        return False


def _target(entry: Path) -> str | None:
    """Where a link leads; None for what is no link."""
    try:
        return str(entry.readlink())
    except OSError:
        return None

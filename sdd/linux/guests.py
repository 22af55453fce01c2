"""The adopted namespaces into which a backend put something that does not go with the host's end.

In: paths. Out: the paths that still mean the namespaces gone into. A daemon may be killed between
forgetting a container and cleaning up in it, so the paths are kept as links `<folder>/<inode>`
until nothing of ours is left there. One folder for each backend.
"""

from pathlib import Path

from sdd.linux import namespaces

_DRAFT = "new"  # no inode: what a kill leaves of it is forgotten with the next look


class Guests:
    """Blocking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> dict[str, int]:
        """Path → inode of those that mean the namespace that we went into; others are forgotten."""
        found = {}
        for entry in self._folder.iterdir() if self._folder.is_dir() else ():
            path = str(entry.readlink())
            inode = namespaces.inode(path)
            if inode and str(inode) == entry.name:
                found[path] = inode
            else:
                entry.unlink(missing_ok=True)
        return found

    def enter(self, path: str) -> None:
        """To be called before anything is put into the namespace at `path`.

        The kernel gives the number of a namespace that ended to the next one: a link that leads
        elsewhere is of the dead.
        """
        inode = namespaces.inode(path)
        if not inode:  # it ended meanwhile, and nothing can be put there
            return
        entry = self._folder / str(inode)
        if not entry.is_symlink() or str(entry.readlink()) != path:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = self._folder / _DRAFT
            draft.unlink(missing_ok=True)
            draft.symlink_to(path)
            draft.replace(entry)

    def leave(self, path: str, inode: int) -> None:
        """Nothing of ours is left at `path`."""
        entry = self._folder / str(inode)
        if entry.is_symlink() and str(entry.readlink()) == path:
            entry.unlink()

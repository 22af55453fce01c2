"""The adopted namespaces into which links went that nothing on the host leads to.

A veth pair ends with its host end; a macvlan link in a container has to be removed where it is,
also when the daemon was killed between forgetting the container and cleaning up. So the paths are
kept as links `<exec-root>/guests/<inode>` until nothing of ours is left there.
"""

from collections.abc import Iterable
from pathlib import Path

from netns import steps
from sdd.linux import namespaces


class Guests:
    """Blocking; `made` is where our own namespaces are, which need no memory."""

    def __init__(self, folder: Path, made: Path) -> None:
        self._folder = folder
        self._made = made

    def read(self) -> frozenset[str]:
        """The paths that still mean the namespace we went into; others are forgotten."""
        found = set()
        for entry in self._folder.iterdir() if self._folder.is_dir() else ():
            path = str(entry.readlink())
            if str(namespaces.inode(path)) == entry.name:
                found.add(path)
            else:
                entry.unlink(missing_ok=True)
        return frozenset(found)

    def enter(self, plan: Iterable[steps.Step]) -> None:
        """Remembers where the plan puts children, before it does."""
        for step in plan:
            if not isinstance(step, steps.AddChild) or Path(step.inside).parent == self._made:
                continue
            entry = self._folder / str(namespaces.inode(step.inside))
            if not entry.is_symlink():
                self._folder.mkdir(parents=True, exist_ok=True)
                entry.symlink_to(step.inside)

    def leave(self, path: str, inode: int) -> None:
        """Nothing of ours is left at `path`."""
        entry = self._folder / str(inode)
        if entry.is_symlink() and str(entry.readlink()) == path:
            entry.unlink()

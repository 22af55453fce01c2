"""Named namespaces: files we mount below exec-root, with a link where `ip netns` looks.

Everything in our own directory is ours; in the shared one only links that point into ours are.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from netns import contract, steps
from sdd import errors, fence
from sdd.linux import namespaces
from sdd.model import sandbox

LINKED = Path("/var/run/netns")  # where `ip netns` looks


class Names:
    """Blocking; called from the threads of `doors`."""

    def __init__(self, doors: namespaces.Namespaces, made: Path, linked: Path = LINKED) -> None:
        self._doors = doors
        self._made = str(made)
        self._linked = str(linked)

    def read(self, paths: Collection[str] | None) -> Mapping[str, int]:
        """Path → inode of all that we made, or those of `paths`; 0 for one that is not complete."""
        return {path: self._complete(path) for path in self._present(paths)}

    def _present(self, paths: Collection[str] | None) -> Iterable[str]:
        if paths is None:
            made = Path(self._made)
            return map(str, made.iterdir()) if made.is_dir() else ()
        return (path for path in paths if self.is_ours(path) and os.path.exists(path))

    def is_ours(self, path: str) -> bool:
        """Whether a namespace there is one that we make and remove."""
        return os.path.dirname(path) == self._made

    def _complete(self, path: str) -> int:
        return namespaces.inode(path) if self._points(path) else 0

    def _points(self, path: str) -> bool:
        return self._target(os.path.basename(path)) == path

    def _target(self, name: str) -> str | None:
        """Where the link `name` leads: empty for what is no link, None where nothing is."""
        try:
            return os.readlink(self._link(name))
        except FileNotFoundError:
            return None
        except OSError:
            return ""

    def _link(self, name: str) -> str:
        return f"{self._linked}/{name}"

    def homonym(self, name: str) -> str:
        """The path of what stands in the way of our link to a namespace `name`; empty: nothing."""
        found = self._target(name)
        is_free = found is None or found == f"{self._made}/{name}"
        return "" if is_free else self._link(name)

    def apply(self, step: steps.MakeSpace | steps.DropSpace) -> contract.Refusal | None:
        """None, or why it could not be done."""
        try:
            with fence.writing(self._made):
                if isinstance(step, steps.MakeSpace):
                    self._make(self._ours(step.space))
                else:
                    self._drop(self._ours(step.space))
        except errors.Conflict as exc:
            return contract.Refusal(step=step, reason=exc.sentence, hint=exc.hint, code=exc.code)
        except errors.SddError as exc:
            return contract.Refusal(step=step, reason=exc.sentence)
        except OSError as exc:
            return contract.Refusal(step=step, reason=str(exc))
        return None

    def _ours(self, space: str) -> str:
        if not self.is_ours(space):
            raise errors.Defect(
                f"{space!r} is no namespace file of ours: it is not in {self._made}"
            )
        return space

    def _make(self, path: str) -> None:
        """The file comes before the link: whoever finds what a kill left looks among the files."""
        name = os.path.basename(path)
        entry, found = self._link(name), self._target(name)
        if found not in (None, path):
            raise sandbox.homonym(name, entry)
        self._doors.create_sync(path)
        if found is None:
            _point(entry, path)

    def _drop(self, path: str) -> None:
        if self._points(path):
            Path(self._link(os.path.basename(path))).unlink(missing_ok=True)
        self._doors.delete_sync(path)


def _point(entry: str, path: str) -> None:
    """The link `entry` to `path`, which nobody has yet."""
    try:
        os.symlink(path, entry)
    except FileNotFoundError:
        Path(entry).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(path, entry)

"""Named namespaces: files we mount below exec-root, with a link where `ip netns` looks.

Everything in our own directory is ours; in the shared one only links that point into ours are.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from netns import contract, steps
from netns.kernel import numbers
from sdd import errors
from sdd.linux import namespaces
from sdd.model import sandbox

LINKED = Path("/var/run/netns")  # where `ip netns` looks


class Names:
    """Blocking; called from the threads of `doors`."""

    def __init__(self, doors: namespaces.Namespaces, made: Path, linked: Path = LINKED) -> None:
        self._doors = doors
        self._made = made
        self._linked = linked

    def read(self, paths: Collection[str] | None) -> Mapping[str, int]:
        """Path → inode of all that we made, or those of `paths`; 0 for one that is not complete."""
        return {str(path): self._complete(path) for path in self._present(paths)}

    def _present(self, paths: Collection[str] | None) -> Iterable[Path]:
        if paths is None:
            return self._made.iterdir() if self._made.is_dir() else ()
        ours = (Path(path) for path in paths)
        return (path for path in ours if path.parent == self._made and path.exists())

    def _complete(self, path: Path) -> int:
        return namespaces.inode(str(path)) if self._points(path) else 0

    def _points(self, path: Path) -> bool:
        return self._target(path.name) == str(path)

    def _target(self, name: str) -> str | None:
        """Where the link `name` leads: empty for what is no link, None where nothing is."""
        try:
            return str((self._linked / name).readlink())
        except FileNotFoundError:
            return None
        except OSError:
            return ""

    def homonym(self, name: str) -> str:
        """The path of what stands in the way of our link to a namespace `name`; empty: nothing."""
        found = self._target(name)
        is_free = found is None or found == str(self._made / name)
        return "" if is_free else str(self._linked / name)

    def apply(self, step: steps.MakeSpace | steps.DropSpace) -> contract.Refusal | None:
        """None, or why it could not be done."""
        try:
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

    def _ours(self, space: str) -> Path:
        path = Path(space)
        if path.parent != self._made:
            raise errors.Defect(
                f"{space!r} is no namespace file of ours: it is not in {self._made}"
            )
        return path

    def _make(self, path: Path) -> None:
        """The file comes before the link: whoever finds what a kill left looks among the files."""
        entry = self._linked / path.name
        found = self._target(path.name)
        if found not in (None, str(path)):
            raise sandbox.homonym(path.name, str(entry))
        self._doors.create_sync(str(path))
        numbers.give((str(path),))
        if found is None:
            self._linked.mkdir(parents=True, exist_ok=True)
            entry.symlink_to(path)

    def _drop(self, path: Path) -> None:
        if self._points(path):
            (self._linked / path.name).unlink(missing_ok=True)
        self._doors.delete_sync(str(path))

"""The files of sandboxes: `<data-root>/sandboxes/<id>/{resolv.conf,hosts}` and links to them.

In: texts. Out: files that differ only where they must. Blocking. A file that somebody edited is
never written again, but for the lines of hosts that are ours; nothing but our own names is ever
removed; no symlink is followed.

Runtimes bind-mount these files, so a change is written into the same inode (docker.md R8). It goes
in one write, padded to the old length: a reader sees the old text or the new one.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from resolver.files import errand, folders, foreign, hosts
from resolver.files.foreign import Target
from sdd import errors
from sdd.model import ids, sandbox

T = TypeVar("T")
RESOLV: Final = "resolv.conf"
HOSTS: Final = "hosts"
NAMES: Final = (RESOLV, HOSTS)
LINKED: Final = "netns-name"  # says which directory below /etc/netns we made
LAST: Final = HOSTS + ".last"  # what we said there, of which an edited one is kept up
HASH: Final = ".hash"  # beside each file: the digest of what we wrote
_WRITING: Final = "writing "  # in the digest's place while a write is on its way
_NAMED: Final = (Path("/run/netns"), Path("/var/run/netns"))  # where `ip netns` finds names
_BOX = re.compile(r"[0-9a-f]{64}")
_LEFTOVER = re.compile(r"/.*/sandboxes/[0-9a-f]{64}/(resolv\.conf|hosts)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the two files shall say, and under which name `ip netns exec` looks for them."""

    resolv: str
    hosts: str
    link: str = ""  # no link when empty
    elsewhere: Target | None = None  # one more file that says what resolv.conf does

    def items(self) -> Iterator[tuple[str, bytes]]:
        """(file name, content)."""
        yield RESOLV, self.resolv.encode()
        yield HOSTS, self.hosts.encode()


def link_name(box: sandbox.Sandbox) -> str:
    """The name by which `ip netns exec` enters the sandbox; empty when there is to be none."""
    if box.resolv_conf.writing is sandbox.Writing.NEVER:
        return ""
    if box.origin is sandbox.Origin.NAMED:
        return box.name
    path = Path(box.netns)
    return path.name if path.parent in _NAMED else ""


class Files:
    """All files of one daemon. `etc_netns` is shared with `ip netns` and other daemons."""

    def __init__(self, data_root: Path, etc_netns: Path = Path("/etc/netns")) -> None:
        self._root = data_root / "sandboxes"
        self._links = etc_netns
        self._owed: set[Target] = set()  # what could not be put back yet

    def path(self, box: ids.SandboxId, name: str = RESOLV) -> Path:
        """Where a runtime finds the file."""
        return self._root / box / name

    def write(self, box: ids.SandboxId, texts: Texts) -> int:
        """How many files and links had to be changed; raises `errors.KernelRefused`.

        The one elsewhere is not among them: `begin_elsewhere`.
        """
        with _told():
            return self._write(box, texts)

    def begin_elsewhere(
        self,
        box: ids.SandboxId,
        target: Target,
        resolv: str,
        patience: errand.Patience | None = None,
    ) -> errand.Errand[bool]:
        """Whether that file had to be written; raises as `write`, and `errand.Hangs`.

        Unavailable until the file is as it was before another sandbox, which is gone.
        """

        def put(ours: int) -> bool:
            if target in self._owed:
                raise errors.Unavailable(
                    f"its resolv.conf at {target} is still to be put back as it was before a"
                    " sandbox that is gone",
                    hint="sdd goes on trying; mend what keeps it from writing there",
                    code="SDD-FILES-OWED",
                )
            return foreign.put(ours, target, resolv.encode())

        return self._begin(box, target, put, patience)

    @property
    def owes(self) -> bool:
        """Whether files of others are to be put back that could not be when it was tried."""
        return bool(self._owed)

    def edited(self, box: ids.SandboxId) -> tuple[str, ...]:
        """The paths of the files that somebody changed and that we therefore leave alone.

        Of one that hangs nobody can tell.
        """
        try:
            with folders.opened(self._root / box) as folder:
                own = [str(self.path(box, name)) for name in NAMES if not _is_ours(folder, name)]
                target = foreign.noted(folder)
        except OSError:
            return ()
        if target is not None:
            with contextlib.suppress(errors.SddError):
                own.append(self._begin(box, target, foreign.edited).wait())
        return tuple(filter(None, own))

    def foreign(self, box: sandbox.Sandbox) -> tuple[str, ...]:
        """The paths below /etc/netns where `ip netns exec` finds files of somebody else."""
        folder = self._links / link_name(box)
        if folder == self._links:
            return ()
        return tuple(
            str(folder / name)
            for name in NAMES
            if os.path.lexists(folder / name)
            and (folder / name).resolve() != self.path(box.id, name).resolve()
        )

    def keep(self, wanted: Mapping[ids.SandboxId, str]) -> int:
        """Remove what is of no sandbox in `wanted` (id → link name); how much it was.

        Raises `errors.KernelRefused` when the directories cannot be read.
        """
        try:
            return self._keep(wanted)
        except OSError as exc:
            raise _refused("the files of sandboxes that are gone cannot be removed", exc) from exc

    def _keep(self, wanted: Mapping[ids.SandboxId, str]) -> int:
        removed = sum(self._unlink_stale(wanted))
        gone: list[ids.SandboxId] = []
        with contextlib.suppress(FileNotFoundError):
            names = (each.name for each in self._root.iterdir() if _BOX.fullmatch(each.name))
            gone = [ids.SandboxId(name) for name in names if name not in wanted]
        self._owed = set()
        for lot in errand.lots(gone):
            patience = errand.Patience()
            restoring = [(box, self._begin_restore(box, patience)) for box in lot]
            removed += sum(self._remove(box, restored) for box, restored in restoring)
        return removed

    def _begin(
        self,
        box: ids.SandboxId,
        target: Target,
        work: Callable[[int], T],
        patience: errand.Patience | None = None,
    ) -> errand.Errand[T]:
        """`work` gets a descriptor of our directory of the sandbox."""

        def run() -> T:
            with _told(), folders.opened(self._root / box) as folder:
                return work(folder)

        return errand.Errand(run, f"its resolv.conf at {target}", patience)

    def _begin_restore(
        self, box: ids.SandboxId, patience: errand.Patience
    ) -> tuple[Target, errand.Errand[None]] | None:
        """The file elsewhere as it was before us, if there is one."""
        with contextlib.suppress(OSError), folders.opened(self._root / box) as folder:
            if (target := foreign.noted(folder)) is not None:
                return target, self._begin(box, target, foreign.restore, patience)
        return None

    def _write(self, box: ids.SandboxId, texts: Texts) -> int:
        self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
        with folders.opened(self._root) as root, contextlib.suppress(FileExistsError):
            os.mkdir(box, 0o755, dir_fd=root)
        with folders.opened(self._root / box) as folder:
            changed = sum(_put(folder, name, content) for name, content in texts.items())
            if texts.link:
                self._note_link(folder, texts.link)
        return changed + (self._link(box, texts.link) if texts.link else 0)

    def _note_link(self, folder: int, link: str) -> None:
        """Before the directory is made: an empty one that a kill left is known as ours."""
        if not os.path.lexists(self._links / link):
            self._unlink_folder(folder)
            folders.replace(folder, LINKED, link.encode())

    def _unlink_folder(self, folder: int) -> None:
        """The directory that we made below /etc/netns goes, unless it is in use."""
        link = (folders.read(folder, LINKED) or b"").decode(errors="replace")
        if link and "/" not in link:
            with contextlib.suppress(OSError, ValueError):
                (self._links / link).rmdir()

    def _remove(
        self, box: ids.SandboxId, restoring: tuple[Target, errand.Errand[None]] | None
    ) -> int:
        if restoring is not None:
            target, restored = restoring
            try:
                restored.wait()
            except errors.SddError:  # it hangs or fails: what was there before is kept
                self._owed.add(target)
                return 0
        try:
            with folders.opened(self._root / box) as folder:
                self._unlink_folder(folder)
                names = (*NAMES, foreign.NOTE, LINKED, LAST, *(name + HASH for name in NAMES))
                removed = sum(folders.remove(folder, name) for name in names)
        except OSError:
            return 0  # a link or a file in the place of our directory: not ours
        with contextlib.suppress(OSError):  # somebody put a file of their own there
            (self._root / box).rmdir()
        return removed

    # --- /etc/netns ---------------------------------------------------------------------------

    def _link(self, box: ids.SandboxId, link: str) -> int:
        """Links below /etc/netns/<link>; whatever somebody else put there stays and wins."""
        if "/" in link or link in (".", ".."):
            raise errors.Defect(f"{link!r} is no name of a namespace")
        self._links.mkdir(mode=0o755, parents=True, exist_ok=True)
        with folders.opened(self._links) as links, contextlib.suppress(FileExistsError):
            os.mkdir(link, 0o755, dir_fd=links)
        try:
            with folders.opened(self._links / link) as folder:
                return sum(self._link_one(folder, box, name) for name in NAMES)
        except NotADirectoryError:
            return 0  # O_NOFOLLOW: a symlink or a file of somebody else

    def _link_one(self, folder: int, box: ids.SandboxId, name: str) -> bool:
        target = str(self.path(box, name))
        there = _target(folder, name)
        if there == target:
            return False
        if there is not None and (self._is_ours(there) or _is_leftover(there)):
            os.unlink(name, dir_fd=folder)
        try:
            os.symlink(target, name, dir_fd=folder)
        except FileExistsError:
            return False
        return True

    def _is_ours(self, target: str) -> bool:
        return target.startswith(f"{self._root}/")

    def _unlink_stale(self, wanted: Mapping[ids.SandboxId, str]) -> Iterable[int]:
        """Links of ours that belong to no sandbox, or to one of another name."""
        try:
            names = [each.name for each in self._links.iterdir()]
        except FileNotFoundError:
            return
        for link in names:
            try:
                with folders.opened(self._links / link) as folder:
                    removed = sum(self._unlink_one(folder, link, name, wanted) for name in NAMES)
            except OSError:
                continue  # no directory: not ours
            if removed:
                yield removed
                with contextlib.suppress(OSError):  # something of somebody else is in it
                    (self._links / link).rmdir()

    def _unlink_one(
        self, folder: int, link: str, name: str, wanted: Mapping[ids.SandboxId, str]
    ) -> bool:
        target = _target(folder, name)
        if target is None or not self._is_ours(target):
            return False
        owner = ids.SandboxId(Path(target).parent.name)
        return wanted.get(owner) != link and folders.unlink(folder, name)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except TimeoutError:  # of a file that others gave
        raise
    except OSError as exc:
        raise _refused("its files cannot be written", exc) from exc


def _refused(sentence: str, exc: OSError) -> errors.KernelRefused:
    return errors.KernelRefused(
        f"{sentence}: {_words(exc)}",
        hint="see the free space and the rights of the data-root and of /etc/netns",
        code="SDD-DNS-FILE",
    )


def _words(exc: OSError) -> str:
    """Without numbers of errors and descriptors, which mean nothing to people."""
    names = (each for each in (exc.filename, exc.filename2) if isinstance(each, str | Path))
    return ": ".join((exc.strerror or str(exc), *map(str, names)))


def _put(folder: int, name: str, content: bytes) -> bool:
    """Whether the file had to be written."""
    there = folders.read(folder, name)
    digest = hashlib.sha256(content).hexdigest()
    if not _is_ours(folder, name):
        return name == HOSTS and there is not None and _keep_up(folder, there, content)
    if there == content and _noted(folder, name) == digest:
        if name == HOSTS and folders.read(folder, LAST) is None:
            folders.replace(folder, LAST, content)  # older releases had none
        return False
    if there == content:
        pass  # we died before we noted it
    elif there is None:
        folders.unlink(folder, name + HASH)  # of a file that somebody removed: one without is ours
        folders.replace(folder, name, content)
    else:
        folders.replace(folder, name + HASH, (_WRITING + digest).encode())
        folders.overwrite(folder, name, content)
    if name == HOSTS:
        folders.replace(folder, LAST, content)
    folders.replace(folder, name + HASH, digest.encode())
    return True


def _keep_up(folder: int, there: bytes, content: bytes) -> bool:
    """Whether lines of ours in a hosts file that somebody edited had to be changed.

    Addresses come and go with networks, whatever was written beside them. A death in the middle
    does no harm: what was done already is not done again.
    """
    before = folders.read(folder, LAST)
    if before is None or len(there) >= folders.MOST:  # more of it may not have been read
        return False
    made = hosts.kept_up(there, before, content)
    if made != there:
        folders.overwrite(folder, HOSTS, made)
    if before != content:
        folders.replace(folder, LAST, content)
    if made == content:  # the edit was undone
        folders.replace(folder, HOSTS + HASH, hashlib.sha256(content).hexdigest().encode())
    return made != there


def _is_ours(folder: int, name: str) -> bool:
    """Whether the file is as we left it, or absent, or never had a digest (docker.md R9)."""
    there = folders.read(folder, name)
    if there is None:
        return not _is_other(folder, name)
    noted = _noted(folder, name)
    return (
        not noted
        or noted.startswith(_WRITING)  # we died while writing: whatever is there is ours
        or noted == hashlib.sha256(there).hexdigest()
    )


def _noted(folder: int, name: str) -> str:
    """The digest of what we wrote, `_WRITING` before it while we do; empty: none."""
    return (folders.read(folder, name + HASH) or b"").decode(errors="replace")


def _is_other(folder: int, name: str) -> bool:
    """Whether something that is no plain file has the name."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _target(folder: int, name: str) -> str | None:
    """Where the symlink leads; None when there is no symlink."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _is_leftover(target: str) -> bool:
    """A link into the data-root of a daemon that is no more."""
    return bool(_LEFTOVER.fullmatch(target)) and not Path(target).parent.is_dir()

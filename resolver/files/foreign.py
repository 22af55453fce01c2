"""One resolv.conf outside our data root: a file in the root filesystem of a sandbox's processes.

In: where it is and what it shall say. Out: that file, or `errors.KernelRefused` `SDD-DNS-FOREIGN`.
Whoever owns that root may be hostile: no symbolic link leads out of it (openat2), none is written
through, and what is no resolv.conf is left alone. A file that somebody edited is never written
again. What was there before is noted in our directory and put back in the end.

Whatever is done here may hang: it is for threads that may be lost (`files.errand`), and raises
TimeoutError instead of following those who are stuck there. Another file that the path leads to
meanwhile (`umount -l`) is another place.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from resolver.files import errand, folders, hostconf
from sdd import errors, fence
from sdd.linux import dcache, openat2, walk
from sdd.linux.openat2 import Resolve

NOTE: Final = "resolv.conf.elsewhere"
DRAFT: Final = ".resolv.conf.sdd-new"
MOST: Final = 1 << 16  # bytes of the file that was there
KEYWORDS: Final = frozenset(
    (b"nameserver", b"search", b"domain", b"options", b"sortlist", b"lookup", b"family")
)
_STUB: Final = Path("/run/systemd/resolve/stub-resolv.conf")
_HOSTS_OWN: Final = (*hostconf.FILES, _STUB)
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_WALKS: Final = walk.Walks(errand.PATIENCE_S / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`path` inside the root of the process `pid`, whose network namespace is `inode`.

    With pid 0 it is a path of the host, which may hold no symbolic link at all.
    """

    path: str
    pid: int = 0
    inode: int = 0

    def __str__(self) -> str:
        return self.path + (f" in the root of process {self.pid}" if self.pid else "")


class Note(msgspec.Struct, frozen=True):
    """What we did: `before` was there (None: nothing), `digest` is of what we wrote or write."""

    target: Target
    before: bytes | None
    digest: str
    writing: bool

    def covers(self, there: bytes) -> bool:
        """Whether the file is as we left it, or we died while writing it."""
        return self.writing or _digest(there) == self.digest


def put(folder: int, target: Target, content: bytes) -> bool:
    """Whether the file had to be written; `folder` is our directory of the sandbox."""
    with _told(target), _opened(target) as where:
        there = _read(where, target)
        note = _noted(folder)
        if note is None:
            _check_replaceable(target, there)
            note = Note(target=target, before=there, digest="", writing=False)
        elif there not in (None, content) and not note.covers(there or b""):
            return False  # somebody edited it
        elif there == content and note == _of(note, content, writing=False):
            return False
        with _writing(where, target):
            _remember(folder, _of(note, content, writing=True))
            _write(where, target, content)
            fence.check()  # it may have hung for longer than the pass
            _remember(folder, _of(note, content, writing=False))
    return True


def restore(folder: int) -> None:
    """The file as it was before us, unless somebody edited it, or it or its root is gone.

    Raises OSError where that is not the question now: the note is good for another time.
    """
    note = _noted(folder)
    if note is None:
        return
    with _unless_gone(), _opened(note.target) as where:
        there = _read(where, note.target)
        if there is None or not note.covers(there):
            return
        with _writing(where, note.target):
            if note.before is None:
                os.unlink(_name(note.target), dir_fd=where)
            else:
                _write(where, note.target, note.before)


def edited(folder: int) -> str:
    """The path of the file when somebody changed it since we wrote it; empty otherwise.

    Raises OSError where nobody can tell.
    """
    note = _noted(folder)
    if note is None:
        return ""
    with _unless_gone(), _opened(note.target) as where:
        there = _read(where, note.target)
        if there is not None and not note.covers(there):
            return note.target.path
    return ""


# --- what we know of it ----------------------------------------------------------------------


def noted(folder: int) -> Target | None:
    """The file of which we know what was there before; None when we never wrote one."""
    note = _noted(folder)
    return None if note is None else note.target


def _noted(folder: int) -> Note | None:
    try:
        return msgspec.json.decode(folders.read(folder, NOTE) or b"", type=Note)
    except msgspec.DecodeError:
        return None


def _remember(folder: int, note: Note) -> None:
    folders.replace(folder, NOTE, msgspec.json.encode(note), mode=0o600)


def _of(note: Note, content: bytes, *, writing: bool) -> Note:
    return msgspec.structs.replace(note, digest=_digest(content), writing=writing)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_replaceable(target: Target, there: bytes | None) -> None:
    """Only a resolv.conf is replaced by one: a mistaken path must not cost a file."""
    words = [line.split(maxsplit=1)[0] for line in (there or b"").splitlines() if line.strip()]
    if any(word not in KEYWORDS and word[:1] not in (b"#", b";") for word in words):
        raise _refused(target, "what is there is no resolv.conf", hint="give the path of one")


# --- the directory it is in ------------------------------------------------------------------


@contextlib.contextmanager
def _opened(target: Target) -> Iterator[int]:
    """The directory of the file; raises TimeoutError where others are stuck."""
    folder = _parent(target)
    try:
        with _WALKS.within((target, dcache.known(folder).device)):
            yield folder
    finally:
        os.close(folder)


def _parent(target: Target) -> int:
    """The directory of the file, looked up without a way out of the root."""
    parent = os.path.dirname(target.path) or "/"  # noqa: PTH120 - text, nothing is looked up
    if not target.pid:
        os.close(_WALKS.open(parent).descriptor)  # who hangs is stuck there, not in all of it
        with _WALKS.within(target):
            return openat2.openat2(openat2.AT_FDCWD, parent, _FOLDER, Resolve.NO_SYMLINKS)
    with _WALKS.within(target):
        root = _root(target)
        try:
            return openat2.openat2(root, parent, _FOLDER, Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)
        finally:
            os.close(root)


def _root(target: Target) -> int:
    """The root directory of the process, when its number still means that process."""
    with contextlib.ExitStack() as stack:
        try:
            process = os.open(f"/proc/{target.pid}", _FOLDER)  # of this process alone, for good
            stack.callback(os.close, process)
            root = os.open("root", _FOLDER, dir_fd=process)
            known = os.stat("ns/net", dir_fd=process).st_ino == target.inode
        except (FileNotFoundError, ProcessLookupError):
            known, root = False, -1
        if known:
            return root
        if root >= 0:
            os.close(root)
    raise _refused(
        target,
        f"process {target.pid} is gone",
        hint="attach the sandbox again with a process that lives",
    )


# --- the file itself -------------------------------------------------------------------------


def _read(where: int, target: Target) -> bytes | None:
    """What the file says; None when there is none."""
    try:
        with _plain(where, target, os.O_RDONLY) as file:
            found = os.read(file, MOST + 1)
    except FileNotFoundError:
        return None
    if len(found) > MOST:
        raise _refused(target, "what is there is no resolv.conf", hint="give the path of one")
    return found


def _write(where: int, target: Target, content: bytes) -> None:
    """In one step: a new file with the owner and mode of the old, or its inode in one write."""
    if not _is_mounted(where, _name(target)):
        _replace(where, target, content)
        return
    with _plain(where, target, os.O_RDWR) as file:
        folders.rewrite(file, content)


def _is_mounted(where: int, name: str) -> bool:
    """Whether the file is a mount of its own, as runtimes make them.

    A rename over it fails in its own mount namespace (EBUSY) and takes the mount off from any other
    (fs/namei.c, vfs_rename), so it must never be tried.
    """
    try:
        file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=where)
    except FileNotFoundError:
        return False
    try:
        return _mount(file) != _mount(where)
    finally:
        os.close(file)


def _mount(descriptor: int) -> str:
    """The id of the mount that the descriptor was opened through (man proc, fdinfo)."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))


def _replace(where: int, target: Target, content: bytes) -> None:
    name = _name(target)
    _check_not_the_hosts(where, target, name)
    try:
        like = os.stat(name, dir_fd=where, follow_symlinks=False)
        mode = stat.S_IMODE(like.st_mode) & 0o777
    except FileNotFoundError:
        like, mode = os.fstat(where), 0o644
    folders.unlink(where, DRAFT)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    draft = os.open(DRAFT, flags, 0o600, dir_fd=where)
    try:
        with os.fdopen(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(draft, like.st_uid, like.st_gid)
            os.fchmod(draft, mode)
        os.rename(DRAFT, name, src_dir_fd=where, dst_dir_fd=where)
    except OSError:
        folders.unlink(where, DRAFT)
        raise


@contextlib.contextmanager
def _plain(where: int, target: Target, flags: int) -> Iterator[int]:
    """The file, opened only once it is known to be a plain one: a device or pipe never is."""
    name = _name(target)
    seen = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=where)
    try:
        found = os.fstat(seen)
        if stat.S_ISLNK(found.st_mode):
            raise _refused(
                target, "it is a symbolic link", hint="give the path of the file that it leads to"
            )
        if not stat.S_ISREG(found.st_mode):
            raise _refused(target, "it is no plain file", hint="give the path of a file")
        _check_not_the_hosts(where, target, name, found)
        # Whoever holds a lease on it (fcntl(2)) would be waited for.
        file = os.open(f"/proc/self/fd/{seen}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(seen)
    try:
        yield file
    finally:
        os.close(file)


def _check_not_the_hosts(
    where: int, target: Target, name: str, found: os.stat_result | None = None
) -> None:
    """The host's own file is not ours to write, also when it is mounted into a container."""
    folder = os.fstat(where)
    for own in {*_HOSTS_OWN, *(each.resolve() for each in _HOSTS_OWN)}:
        with contextlib.suppress(OSError):
            same = own.name == name and os.path.samestat(own.parent.stat(), folder)
            if same or (found is not None and os.path.samestat(own.stat(), found)):
                raise _refused(
                    target,
                    f"it is the host's own {own}",
                    hint="give the container a file of its own, or use --write-resolv-conf never",
                )


def _writing(where: int, target: Target) -> contextlib.AbstractContextManager[None]:
    """Around a write there, which only the pass may do that is at work."""
    return fence.writing(f"{target} on {dcache.known(where).device}")


def _name(target: Target) -> str:
    return target.path.rpartition("/")[2]


# --- words -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """Nothing is to be done at a file that is not there, or is no resolv.conf of anybody's now."""
    try:
        yield
    except errors.KernelRefused:
        return
    except OSError as exc:
        if exc.errno not in _GONE:
            raise


@contextlib.contextmanager
def _told(target: Target) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise
    except OSError as exc:
        hint = "the directory must be there and writable"
        if exc.errno == errno.ELOOP:
            hint = "symbolic links are not followed there; give the path without"
        raise _refused(target, os.strerror(exc.errno or 0), hint=hint) from exc


def _refused(target: Target, why: str, *, hint: str) -> errors.KernelRefused:
    return errors.KernelRefused(
        f"its resolv.conf cannot be written to {target}: {why}",
        hint=hint,
        code="SDD-DNS-FOREIGN",
    )

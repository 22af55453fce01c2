"""Work inside network namespaces, done by threads that do nothing else.

In: the path of a namespace file and a function. Out: what the function returns, run by a thread
that is inside. A socket or nft context stays in the namespace where it was opened, so most work
is "enter, open, leave". The event-loop thread never moves: no setns outside of this file.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import TypeVar

from sdd import errors, fence
from sdd.linux import cost, libc, lookups
from sdd.model import absence

T = TypeVar("T")

OWN = lookups.OWN
WORKERS = 2  # more would only wait: for one lock in the kernel (rtnl), for another in Python
_SIOCSIFFLAGS = 0x8914  # include/uapi/linux/sockios.h
_IFF_UP = 0x1
_IFREQ = struct.Struct("16sh14x")  # struct ifreq: the name, its flags
_NOT_MOUNTED = frozenset({errno.EINVAL, errno.ENOENT})
_MOST_LAYERS = 16  # a bound on unmounting: nobody stacks more mounts on one namespace file


def inode(path: str) -> int:
    """The number that identifies the namespace at `path`; 0 when there is none.

    A plain file (left by a crash between creating and mounting it) is no namespace. Blocks only
    where others gave the path, for `lookups.PATIENCE_S` at most: raises `lookups.Hangs` then.
    """
    try:
        return inode_of(path)
    except OSError:
        return 0


def inode_of(path: str) -> int:
    """The same; raises OSError for a path that leads nowhere."""
    return lookups.ALL.find(path).inode


async def wait_inode(path: str) -> int:
    """As `inode`, for an event loop."""
    try:
        return (await lookups.ALL.wait_found(path)).inode
    except OSError:
        return 0


class Held:
    """A namespace that stays as long as this is open, whatever becomes of its file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def path(self) -> str:
        """By which this process can enter it."""
        return f"/proc/self/fd/{self._descriptor}"

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)


def hold(path: str) -> Held | None:
    """The namespace at `path`; None where there is none, or nobody can tell."""
    try:
        return Held(descriptor(path))
    except (OSError, lookups.Hangs):
        return None


def descriptor(path: str) -> int:
    """An open descriptor of the namespace at `path`, the caller's.

    Raises OSError where there is none, `lookups.Hangs` when nobody can tell.
    """
    found = lookups.ALL.find(path)
    if not found.inode:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return found.opened()


class Namespaces:
    """A few dedicated threads; every piece of work starts with an explicit setns.

    `host` is the file of the namespace that the path "" means; by default the one in which this
    object is made (tests let a scratch namespace play the host).
    """

    def __init__(self, host: str = "", *, workers: int = WORKERS) -> None:
        self._home = os.open(host or OWN, os.O_RDONLY | os.O_CLOEXEC)
        self._mark = threading.local()
        self._pool = futures.ThreadPoolExecutor(
            workers, thread_name_prefix="netns", initializer=self._enlist
        )

    def close(self) -> None:
        """End the threads after the work they have; nothing may be run afterwards."""
        self._pool.shutdown()
        os.close(self._home)

    async def run(self, path: str, work: Callable[[], T]) -> T:
        """What `work()` returns or raises, run inside the namespace `path` ("" = the host's).

        Raises `errors.NotFound` when `path` is no network namespace (or no longer one),
        `lookups.Hangs` when nobody can tell.
        """
        if path:  # no thread of these waits for one that hangs
            with contextlib.suppress(OSError):  # told by whoever enters
                await lookups.ALL.wait_found(path)
        loop = asyncio.get_running_loop()
        sent = fence.carried(cost.charged(work))
        return await loop.run_in_executor(self._pool, self._inside, path, sent)

    def run_sync(self, path: str, work: Callable[[], T]) -> T:
        """The same for callers in a thread that may block; nests inside `work` of another run."""
        if getattr(self._mark, "ours", False):
            fence.check()
            return work() if self._mark.where == path else self._inside(path, work)
        return self._pool.submit(self._inside, path, fence.carried(work)).result()

    async def create(self, path: str) -> int:
        """Make a namespace named by the file `path`, with `lo` up; its inode.

        One that is there is kept.
        """
        return await self.run("", lambda: self._create(path))

    def create_sync(self, path: str) -> int:
        """The same for callers in a thread that may block."""
        return self.run_sync("", lambda: self._create(path))

    async def delete(self, path: str) -> None:
        """Remove the name `path`; the namespace dies with its last user. Absent is fine."""
        await self.run("", lambda: _delete(path))

    def delete_sync(self, path: str) -> None:
        """The same for callers in a thread that may block."""
        self.run_sync("", lambda: _delete(path))

    async def interfaces(self, path: str) -> tuple[str, ...]:
        """The names of all interfaces inside, `lo` included, sorted."""
        return await self.run(
            path, lambda: tuple(sorted(name for _, name in socket.if_nameindex()))
        )

    async def scratch(self, work: Callable[[], T]) -> T:
        """What `work()` returns inside an empty namespace that ends with it."""
        return await self.run("", lambda: _apart(work))

    def _enlist(self) -> None:
        self._mark.ours = True
        self._mark.where = None

    def _inside(self, path: str, work: Callable[[], T]) -> T:
        with self._entered(path):
            return work()

    @contextlib.contextmanager
    def _entered(self, path: str) -> Iterator[None]:
        before = self._mark.where
        # Whoever comes from nowhere else comes from home, of which a descriptor is open.
        back = _open(OWN) if before else self._home
        try:
            # What fails to enter has not moved, so there is no way back to go.
            if path:
                _enter(path)
            else:
                _enter_home(self._home)
            self._mark.where = path
            try:
                yield
            finally:
                self._mark.where = before
                libc.setns(back, "the namespace we came from")
        finally:
            if before:
                os.close(back)

    def _create(self, path: str) -> int:
        if found := inode(path):
            return found
        _touch(path)
        libc.unshare_network()
        try:
            # Before it has a name: whoever finds it finds 127.0.0.0/8 as well.
            _set_loopback_up()
            libc.bind_mount(OWN, path)
        except OSError as exc:
            Path(path).unlink(missing_ok=True)
            raise errors.KernelRefused(
                f"the namespace {path!r} cannot be mounted: {exc.strerror}",
                hint="sdd needs CAP_SYS_ADMIN and a file system that allows mounts there",
                code="SDD-NETNS-MOUNT",
            ) from exc
        finally:
            _enter_home(self._home)
        return inode(path)


def _touch(path: str) -> None:
    """A file, not a directory: a namespace is mounted on it. 0o444 as `ip netns add` does."""
    flags = os.O_CREAT | os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        made = os.open(path, flags, 0o444)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        made = os.open(path, flags, 0o444)
    os.close(made)


def _apart(work: Callable[[], T]) -> T:
    libc.unshare_network()  # `_entered` brings the thread home
    return work()


def _set_loopback_up() -> None:
    """`ip link set lo up`, for the calling thread's namespace (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        fcntl.ioctl(asked, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", _IFF_UP))


def _enter(path: str) -> None:
    opened = _open(path)
    try:
        libc.setns(opened, path)
    except OSError as exc:
        if exc.errno == errno.EPERM:
            raise _denied(f"the namespace {path!r}") from exc
        raise _not_entered(path, exc) from exc
    finally:
        os.close(opened)


def _open(path: str) -> int:
    """As `descriptor`, with its errors in words for people."""
    try:
        return descriptor(path)
    except OSError as exc:
        raise _not_entered(path, exc) from exc


def _not_entered(path: str, exc: OSError) -> errors.SddError:
    """A namespace is not gone because there is no room for one more descriptor, or in memory."""
    if exc.errno not in lookups.NO_ROOM:
        return _no_namespace(path, exc)
    return errors.KernelRefused(
        f"the namespace {path!r} cannot be entered: {os.strerror(exc.errno or 0).lower()}",
        hint="raise the limits of open files of sdd (LimitNOFILE) and of the system",
        code="SDD-NETNS-LIMIT",
    )


def _enter_home(descriptor: int) -> None:
    try:
        libc.setns(descriptor, "the host's namespace")
    except OSError as exc:
        raise _denied("the host's namespace") from exc


def _denied(what: str) -> errors.Denied:
    return errors.Denied(
        f"no permission to enter {what}",
        hint="sdd needs CAP_SYS_ADMIN in the user namespace that owns it",
        code="SDD-NETNS-DENIED",
    )


def _no_namespace(path: str, exc: OSError) -> errors.NotFound:
    return errors.NotFound(
        f"there is no network namespace at {path!r}: {exc.strerror}",
        hint="its processes may have ended; remove the sandbox or give another path",
        code=absence.CODE,
    )


def _delete(path: str) -> None:
    for _ in range(_MOST_LAYERS):
        try:
            libc.unmount(path)
        except OSError as exc:
            if exc.errno in _NOT_MOUNTED:
                break
            raise errors.KernelRefused(
                f"the namespace {path!r} cannot be unmounted: {exc.strerror}",
                code="SDD-NETNS-MOUNT",
            ) from exc
    Path(path).unlink(missing_ok=True)

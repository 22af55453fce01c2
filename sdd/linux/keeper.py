"""Keeps files bound over others in a mount namespace, for as long as anything runs there.

In: target → source. Out: a process of nobody that binds again. Linux takes a mount off in every
namespace when what it covers is renamed over or unlinked (detach_mounts, fs/namespace.c), which
is how resolv.conf is changed everywhere: who runs in the namespace then sees the host's file. A
file system over the whole folder would prevent it, but hide later files or lose what is written.

The process waits by poll(2) for the programs and for its namespace's list of mounts, which tells of
one that went (proc(5), mountinfo). That takes none of root's inotify instances, which are 128 as a
rule. What takes no mount off is seen at a look a second: that a link leads elsewhere, that a file
appears, or that a source was made anew. It begins as a copy of its caller, which costs a short
command next to nothing, and soon becomes a small interpreter: no module here may import much (no
typing, no pathlib).
"""

import errno
import os
import select
import sys
import time
from collections.abc import Mapping

from sdd.linux import libc

LOOK_MS = 1000
HURRY_MS = 1  # while a file is being replaced: the kernel takes its mount off before its name
HURRIES = 50  # in a row, then it is not there
PAUSE_S = 0.01  # after a file was put: whoever puts his own over it without end waits as well
LEAN_S = 2.0  # most commands have ended by then
MOUNTS = "/proc/self/mountinfo"
NAME = "sdd-keeper"
_CODE = """import sys
sys.path.insert(0, sys.argv.pop(1))
from sdd.linux import keeper
keeper.main()"""
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def bind(target: str, source: str) -> bool:
    """Make `target` say what `source` does; False where it does already.

    Raises `FileNotFoundError` when either is not there, or `target` is just being replaced.
    """
    there = os.stat(target)
    if os.path.samestat(there, os.stat(source)):
        return False
    if not there.st_nlink:
        # A source that was bound and then removed: nothing can be mounted over it (ENOENT). Or the
        # host's own, which another is just renamed over: its mount is off, its name not gone yet.
        try:
            libc.unmount(target)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), target) from None
    libc.bind_mount(source, target)
    return True


def put(target: str, source: str) -> bool:
    """As `bind`, and waits until whoever replaces `target` has done so (50 ms at most)."""
    for _ in range(HURRIES):
        try:
            return bind(target, source)
        except FileNotFoundError:
            if not (os.path.exists(target) and os.path.exists(source)):
                raise
        time.sleep(HURRY_MS / 1000)
    return bind(target, source)


def start(files: Mapping[str, str]) -> None:
    """Keep `files` until the calling process and whoever else is in its mount namespace ended.

    The keeper is no child of the caller, has none of its descriptors and is not of its session:
    pipes end, `wait` and Ctrl-C know nothing of it. Raises `OSError`.
    """
    program = os.pidfd_open(os.getpid())
    try:
        child = os.fork()
        if child == 0:
            _leave(program, files)
        status = _ended(child)
    finally:
        os.close(program)
    if status:
        number = os.waitstatus_to_exitcode(status)
        raise OSError(number, os.strerror(number), "a process that keeps its files")


def main() -> None:
    """The keeper as a small interpreter: `PIDFD TARGET SOURCE…`."""
    program, *paths = sys.argv[1:]
    files = dict(zip(paths[::2], paths[1::2], strict=True))
    _Keeper(files, is_lean=True).run(int(program))


def _ended(child: int) -> int:
    """Its status; 0 where the caller's parent left SIGCHLD ignored, so that the kernel keeps none.

    That is inherited by the command, which may count on it, and so is not changed.
    """
    try:
        return os.waitpid(child, 0)[1]
    except ChildProcessError:
        return 0


def _leave(program: int, files: Mapping[str, str]) -> None:
    """In the child: the keeper is its child, and so of nobody. Never returns."""
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            _shed(program)
            _Keeper(files, is_lean=False).run(program)
        code = 0
    except OSError as exc:
        code = exc.errno or 1
    finally:
        os._exit(code)


def _shed(program: int) -> None:
    """Nothing of the caller is held: no pipe, no folder."""
    for each in os.listdir("/proc/self/fd"):
        if int(each) != program:
            try:
                os.close(int(each))
            except OSError:
                continue  # the listing's own
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.chdir("/")


class _Keeper:
    def __init__(self, files: Mapping[str, str], *, is_lean: bool) -> None:
        self._files = files
        self._is_lean = is_lean
        self._lean_at = time.monotonic() + LEAN_S
        self._space = os.readlink("/proc/self/ns/mnt")
        self._mounts = os.open(MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        self._hurries = 0

    def run(self, program: int) -> None:
        """Until nothing runs in this mount namespace any more, `program` being the first."""
        _call()
        running: int | None = program
        while running is not None:
            self._bind()
            if self._has_ended(running):
                os.close(running)
                running = self._another()
            elif not self._is_lean and time.monotonic() >= self._lean_at:
                self._become_lean(running)

    def _bind(self) -> None:
        is_whole, has_put = True, False
        for target, source in self._files.items():
            try:
                has_put |= bind(target, source)
            except OSError:
                is_whole = False  # not there, or just being replaced
        self._hurries = 0 if is_whole else self._hurries + 1
        if has_put:
            time.sleep(PAUSE_S)

    def _has_ended(self, running: int) -> bool:
        """Waits for that, for a mount that comes or goes, or for the next look."""
        waiting = select.poll()
        waiting.register(running, select.POLLIN)
        waiting.register(self._mounts, select.POLLPRI)
        is_hurried = 0 < self._hurries <= HURRIES
        ready = waiting.poll(HURRY_MS if is_hurried else LOOK_MS)
        return any(descriptor == running for descriptor, _ in ready)

    def _another(self) -> int | None:
        """The descriptor of any other process in this namespace.

        Looked for twice: one that was born to a low number while its parent, of a higher one,
        ended is passed over by one look.
        """
        for pid in (*_pids(), *_pids()):
            if pid != os.getpid() and self._is_here(pid):
                try:
                    process = os.pidfd_open(pid)
                except OSError:
                    continue
                if self._is_here(pid):  # the number may be another's by now
                    return process
                os.close(process)
        return None

    def _is_here(self, pid: int) -> bool:
        try:
            return os.readlink(f"/proc/{pid}/ns/mnt") == self._space
        except OSError:
            return False  # it ended

    def _become_lean(self, running: int) -> None:
        """A fresh interpreter has a third of the memory; where there is none, we go on."""
        self._is_lean = True
        os.set_inheritable(running, True)
        paths = [each for pair in self._files.items() for each in pair]
        command = [sys.executable, "-I", "-S", "-c", _CODE, _ROOT, str(running), *paths]
        try:
            os.execv(sys.executable, command)  # noqa: S606 - ourselves, no shell
        except OSError:
            return


def _call() -> None:
    """By its name in `ps`."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(NAME)


def _pids() -> list[int]:
    return [int(each) for each in os.listdir("/proc") if each.isdigit()]

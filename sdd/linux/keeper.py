"""Keeps files bound over others in a mount namespace, for as long as anything runs there.

In: target → source. Out: a process of nobody that binds again. Linux takes a mount off in every
namespace when what it covers is renamed over or unlinked (detach_mounts, fs/namespace.c), which
is how resolv.conf is changed everywhere: who runs in the namespace then sees the host's file. A
file system over the whole folder would prevent it, but hide later files or lose what is written.

The process waits by poll(2) for the programs and by inotify(7) for names. It begins as a copy of
its caller, which costs a short command next to nothing, and soon becomes a small interpreter: no
module here may import much (no typing, no pathlib).
"""

import math
import os
import select
import sys
import time
from collections.abc import Mapping

from sdd.linux import inotify_instance, libc, ways

BLIND_MS = 2000  # between looks where inotify gives nothing
LEAN_S = 2.0  # most commands have ended by then
NAME = "sdd-keeper"
_CODE = """import sys
sys.path.insert(0, sys.argv.pop(1))
from sdd.linux import keeper
keeper.main()"""
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def bind(target: str, source: str) -> None:
    """Make `target` say what `source` does, unless it does; raises `FileNotFoundError` or such."""
    there = os.stat(target)
    if os.path.samestat(there, os.stat(source)):
        return
    if not there.st_nlink:
        # A source that was bound and then removed: nothing can be mounted over it (ENOENT).
        libc.unmount(target)
    libc.bind_mount(source, target)


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
        self._mounts = os.readlink("/proc/self/ns/mnt")
        self._notices = inotify_instance.Instance()
        self._names: dict[int, set[bytes]] = {}
        self._is_blind = False

    def run(self, program: int) -> None:
        """Until nothing runs in this mount namespace any more, `program` being the first."""
        _call()
        self._look()
        running: int | None = program
        while running is not None:
            if self._wait(running):
                self._look()
            elif _has_ended(running):
                os.close(running)
                running = self._another()
            else:
                if not self._is_lean and time.monotonic() >= self._lean_at:
                    self._become_lean(running)
                self._look()

    def _look(self) -> None:
        """Bind at once, watch the way as it is now, and bind what changed before that."""
        self._bind()
        if self._notices.descriptor < 0:
            self._notices = inotify_instance.Instance()
        watches = [
            self._watched(folder, name)
            for pair in self._files.items()
            for file in pair
            for folder, name in ways.names(file)
        ]
        self._is_blind = -1 in watches
        self._bind()

    def _bind(self) -> None:
        for target, source in self._files.items():
            try:
                bind(target, source)
            except OSError:
                continue  # it is not there, or is just being replaced: heard of when that is done

    def _watched(self, folder: str, name: str) -> int:
        watch = self._notices.add(folder, inotify_instance.NAMES)
        self._names.setdefault(watch, set()).add(os.fsencode(name))
        return watch

    def _wait(self, running: int) -> bool:
        """Whether something happened to a name; else the process ended, or time went by."""
        waiting = select.poll()
        waiting.register(running, select.POLLIN)
        if self._notices.descriptor >= 0:
            waiting.register(self._notices.descriptor, select.POLLIN)
        while ready := waiting.poll(self._timeout_ms()):
            if any(descriptor == running for descriptor, _ in ready):
                return False
            if any(not name or name in self._names[watch] for watch, name in self._events()):
                return True
        return False

    def _events(self) -> list[tuple[int, bytes]]:
        """What is of no watch is an overflow: as good as a name that is watched."""
        return [
            (watch, name if watch in self._names else b"") for watch, name in self._notices.read()
        ]

    def _timeout_ms(self) -> int | None:
        times = [BLIND_MS] if self._is_blind else []
        if not self._is_lean:
            times.append(max(0, math.ceil(1000 * (self._lean_at - time.monotonic()))))
        return min(times, default=None)

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
            return os.readlink(f"/proc/{pid}/ns/mnt") == self._mounts
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


def _has_ended(process: int) -> bool:
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    return bool(waiting.poll(0))


def _pids() -> list[int]:
    return [int(each) for each in os.listdir("/proc") if each.isdigit()]

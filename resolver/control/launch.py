"""The one DNS worker of this daemon: found alive, or started.

In: where its socket is and who it shall be. Out: a link. The worker outlives sdd; one that speaks
another release of the protocol, or does not speak, is ended and replaced.
"""

import asyncio
import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from resolver import protocol
from resolver.control import link
from sdd import errors

MODULE: Final = "resolver.worker"
CONTROL: Final = 3  # the descriptor on which a worker finds its listening socket
BACKLOG: Final = 4
LEAVE_S: Final = 3.0  # how long a worker may take to end when told
GRACE_S: Final = 0.5  # and when it hung up by itself
TRIES: Final = 3  # workers that are found unfit and ended before one is started


class Launcher:
    """Keeps one link to one worker; `user` is whom a new worker becomes.

    `module` is what is started as `python -m module --exec-root ROOT --user USER` (tests have
    their own), so that a list of processes shows whose worker it is. With `quic` a worker that was
    started before that library was there is replaced.
    """

    def __init__(
        self,
        exec_root: Path,
        user: str = "sdd-dns",
        *,
        module: str = MODULE,
        quic: bool = False,
    ) -> None:
        self._root = exec_root
        self._user = user
        self._module = module
        self._quic = quic
        self._link: link.Link | None = None
        self._turn = asyncio.Lock()
        self._children: set[int] = set()

    async def ensure(self) -> link.Link:
        """The link to a living worker of our release; raises `errors.Unavailable`."""
        async with self._turn:
            self._reap()
            if self._link is not None and self._link.is_open:
                return self._link
            self._link = await self._found() or await self._started()
            return self._link

    async def _found(self) -> link.Link | None:
        """The link to a worker that is there; None once there is none that can be used."""
        for _ in range(TRIES):
            with self._address() as path:
                try:
                    connected = link.connect(path)
                except OSError:
                    return None
            if found := await self._greeted(connected):
                return found
        return None

    async def _greeted(self, connected: socket.socket) -> link.Link | None:
        """The link if the worker is fit; if not, the worker is ended. It may be dying already."""
        listener = _peer(connected)
        try:
            found = await link.Link.open(connected)
        except errors.Unavailable:
            await _dismiss(listener, self._module)  # it holds the address and does not speak
            return None
        if found.inventory.release == protocol.RELEASE and found.inventory.quic >= self._quic:
            return found
        found.close()
        await _dismiss(listener, self._module)
        return None

    async def _started(self) -> link.Link:
        with self._address() as path:
            pid = self._start(path)
            connected = link.connect(path)
        try:
            # Its end is noticed at once, so patience costs nothing where it is not needed.
            started = await link.Link.open(connected, link.START_S)
        except errors.Unavailable as exc:
            await _end_child(pid)
            raise self._explained(pid, exc) from exc
        except asyncio.CancelledError:
            # Whoever ended the last worker and then sdd meant both: this one knows nothing yet.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # our child, not reaped: the number is still its own
            raise
        if started.inventory.release == protocol.RELEASE:
            return started
        started.close()
        await _end_child(pid)
        raise errors.Unavailable(
            f"the DNS worker speaks release {started.inventory.release} of the protocol, sdd"
            f" speaks {protocol.RELEASE}",
            hint="the installation is of mixed releases; install one of them completely",
            code="SDD-DNS-RELEASE",
        )

    def close(self) -> None:
        """Hang up; the worker goes on serving."""
        if self._link is not None:
            self._link.close()

    @contextlib.contextmanager
    def _address(self) -> Iterator[str]:
        """The socket's path, short enough for any exec-root (sun_path has 108 bytes)."""
        self._root.mkdir(parents=True, exist_ok=True)
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{root}/{protocol.SOCKET}"
        finally:
            os.close(root)

    def _start(self, path: str) -> int:
        Path(path).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as control:
            os.fchmod(control.fileno(), 0o600)  # the file gets this mode: root alone may connect
            control.bind(path)
            control.listen(BACKLOG)
            pid = self._spawn(control.fileno())
        self._children.add(pid)
        return pid

    def _spawn(self, control: int) -> int:
        """The pid of a new worker: a session of its own, our stderr, nothing else of ours open."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            return os.posix_spawn(
                sys.executable,
                [
                    *(sys.executable, "-P", "-m", self._module),
                    *("--exec-root", str(self._root), "--user", self._user),
                ],
                _environment(os.environ),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, control, CONTROL),
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, 2, 1),
                ],
                setsid=True,
                setsigmask=[],
            )
        finally:
            os.close(null)

    def _reap(self) -> dict[int, int]:
        """Exit codes of the workers of ours that ended."""
        ended = {}
        for pid in tuple(self._children):
            with contextlib.suppress(ChildProcessError):
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done:
                    continue
                ended[pid] = os.waitstatus_to_exitcode(status)
            self._children.discard(pid)
        return ended

    def _explained(self, pid: int, exc: errors.Unavailable) -> errors.Unavailable:
        status = self._reap().get(pid)
        if status is None or status < 0:
            return exc
        return errors.Unavailable(
            f"the DNS worker ended at once (exit code {status})",
            hint="it said why on stderr, see sdd's log",
            code=exc.code,
        )


def _environment(ours: Mapping[str, str]) -> Mapping[str, str]:
    """Ours, and the place of this very code: the worker is of the same release as sdd."""
    here = str(Path(__file__).resolve().parents[1])
    others = [each for each in ours.get("PYTHONPATH", "").split(os.pathsep) if each]
    return {**ours, "PYTHONPATH": os.pathsep.join([here, *others])}


def _peer(connected: socket.socket) -> int:
    """The pid that listens behind `connected`: who called listen(2) last, so maybe a former sdd."""
    data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(data[:4], sys.byteorder, signed=True)


async def _dismiss(pid: int, module: str) -> None:
    """End the worker `pid` and wait for it; any other process is left alone."""
    with _opened(pid) as process:
        # After opening: the descriptor names one process for ever, so this looks at the right one.
        if process >= 0 and pid != os.getpid() and _is_worker(pid, module):
            await _end(process)


async def _end_child(pid: int) -> None:
    """End our own child, after the moment that it needs when it is ending by itself."""
    with _opened(pid) as process:
        if process >= 0 and not await asyncio.to_thread(_ended, process, GRACE_S):
            await _end(process)


async def _end(process: int) -> None:
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signum)
        if await asyncio.to_thread(_ended, process, LEAVE_S):
            return


@contextlib.contextmanager
def _opened(pid: int) -> Iterator[int]:
    """A descriptor of the process (pidfd_open(2)); -1 when there is none."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        yield -1
        return
    try:
        yield process
    finally:
        os.close(process)


def _ended(process: int, timeout_s: float) -> bool:
    poll = select.poll()  # select(2) knows no descriptor above 1023
    poll.register(process, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _is_worker(pid: int, module: str) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return module.encode() in arguments

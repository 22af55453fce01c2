"""The one DNS worker of this daemon: found alive, or started.

In: where its socket is and who it shall be. Out: a link. The worker outlives sdd; one that speaks
another release of the protocol, or does not speak, is ended and replaced.
"""

import asyncio
import contextlib
import os
import pwd
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from resolver import notes, protocol
from resolver.control import link, processes
from sdd import errors

MODULE: Final = "resolver.worker"
CONTROL: Final = 3  # the descriptor on which a worker finds its listening socket
BACKLOG: Final = 4
SILENT_S: Final = 2.0  # a worker that does not answer for so long is told of
MANAGER: Final = 1  # systemd, as whose unit a worker is started when we connect
LIMITS: Final = "see the limits of open files, processes and memory"
TRIES: Final = 3  # workers that are found unfit and ended before one is started


# Where programs, time zones and authorities are, and how to speak.
INHERITED: Final = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)


class Step(StrEnum):
    """What becomes of a worker."""

    STARTED = "started"
    ADOPTED = "adopted"  # it served already, for a former sdd or before it hung up
    ENDED = "ended"
    DISMISSED = "dismissed"  # ended by us


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of the worker `pid`, and why."""

    step: Step
    pid: int
    reason: str


class Launcher:
    """Keeps one link to one worker; `user` is whom a new worker becomes.

    `module` is what is started as `python -m module --exec-root ROOT --user USER` (tests have
    their own), so that a list of processes shows whose worker it is. With `quic` a worker that was
    started before that library was there is replaced. `manager` is the process that listens for
    units: behind its socket a worker may only be starting. `inherit` is awaited before a worker
    that cannot serve for us is ended, with its pid: it has the sandboxes' sockets.
    """

    def __init__(
        self,
        exec_root: Path,
        user: str = "sdd-dns",
        *,
        module: str = MODULE,
        quic: bool = False,
        manager: int = MANAGER,
    ) -> None:
        self._root = exec_root
        self.user = user
        self._module = module
        self._quic = quic
        self._manager = manager
        self._link: link.Link | None = None
        self._serving: processes.Hold | None = None
        self._turn = asyncio.Lock()
        self._children: set[int] = set()
        self._codes: dict[int, int] = {}
        self._why = "no DNS worker is there yet"
        self._told: list[Callable[[Change], None]] = []
        self.inherit: Callable[[int], Awaitable[None]] = _nothing

    def subscribe(self, told: Callable[[Change], None]) -> None:
        """Call `told` with everything that becomes of a worker from now on."""
        self._told.append(told)

    @property
    def has_user(self) -> bool:
        """Whether the user exists as whom a worker that we start is to run."""
        try:
            pwd.getpwnam(self.user)
        except KeyError:
            return False
        return True

    @property
    def connected(self) -> link.Link | None:
        """The link to the worker, while there is one that is known to live."""
        return self._link if self._link is not None and self._link.is_open else None

    def trouble(self) -> str:
        """Why nobody's names are answered now, as far as known; empty when they are."""
        if self._link is None:
            return self._why
        if not self._link.is_open:
            return self._link.why
        if (silent_s := self._link.silent_s) >= SILENT_S:
            return f"the DNS worker {self._link.pid} has not answered for {silent_s:.0f} s"
        return ""

    async def ensure(self) -> link.Link:
        """The link to a living worker of our release; raises `errors.Unavailable`."""
        async with self._turn:
            if (living := self.connected) is not None:
                return living
            gone, self._link = self._link, None
            try:
                if gone is not None:
                    await self._part(gone)
                found = await self._found() or await self._started()
            except errors.Unavailable as exc:
                self._why = exc.sentence
                raise
            except OSError as exc:
                self._why = f"no DNS worker can be started: {exc.strerror}"
                raise errors.Unavailable(self._why, hint=LIMITS, code=link.CODE) from exc
            await self._alone(found.pid)
            self._link = found
            return found

    async def _alone(self, pid: int) -> None:
        """Nobody but `pid` has the sandboxes' sockets.

        A worker that hung up and lives on might read from them what the next one is asked.
        """
        before = self._serving
        if before is not None and before.pid == pid:
            return
        self._serving = processes.Hold(pid)
        if before is not None:
            if await before.end():
                self._tell(Step.DISMISSED, before.pid, "it hung up and lived on")
            before.close()

    async def _part(self, gone: link.Link) -> None:
        """Whether the worker behind a lost link is over; one that hangs is ended."""
        self._why = gone.why
        if gone.is_hung:
            if self._serving is not None and await self._serving.end():
                self._tell(Step.DISMISSED, gone.pid, gone.why)
        elif await processes.is_over(gone.pid):
            self._reap()
            cause = _cause(self._codes.pop(gone.pid, None)) or gone.why
            self._why = f"the DNS worker {gone.pid} ended: {cause}"
            self._tell(Step.ENDED, gone.pid, cause)

    async def _found(self) -> link.Link | None:
        """The link to a worker that is there; None once there is none that can be used."""
        patience_s = link.START_S
        for _ in range(TRIES):
            with self._address() as path:
                try:
                    connected = link.connect(path)
                except OSError as exc:
                    if exc.errno in notes.SCARCE:
                        raise  # there may be one, and it is not to be replaced
                    return None
            if found := await self._greeted(connected, patience_s):
                return found
            patience_s = link.HELLO_S
        return None

    async def _greeted(self, connected: socket.socket, patience_s: float) -> link.Link | None:
        """The link if the worker is fit; if not, the worker is ended. It may be dying already."""
        listener = _peer(connected)
        try:
            found = await link.Link.open(
                connected, patience_s if listener == self._manager else link.HELLO_S
            )
        except errors.Unavailable as exc:
            await self._dismiss(listener, exc.sentence)  # it holds the address and does not speak
            return None
        if not (unfit := self._unfit(found.inventory)):
            is_new = not (found.inventory.revision or found.inventory.listeners)
            step = Step.STARTED if is_new else Step.ADOPTED  # by a service manager
            self._tell(step, found.pid, "its socket was there")
            return found
        found.close()
        if found.inventory.release >= protocol.CONFINED:
            await self.inherit(found.pid)
        await self._dismiss(listener, unfit)
        return None

    def _unfit(self, told: protocol.Inventory) -> str:
        """Why such a worker cannot serve for us; empty when it can."""
        if told.release != protocol.RELEASE:
            return f"it speaks release {told.release}, sdd speaks {protocol.RELEASE}"
        return "" if told.quic >= self._quic else "it has not loaded the library for QUIC"

    async def _dismiss(self, pid: int, reason: str) -> None:
        if await processes.dismiss(pid, self._module):
            self._tell(Step.DISMISSED, pid, reason)

    async def _started(self) -> link.Link:
        with self._address() as path:
            pid = self._start(path)
            connected = link.connect(path)
        try:
            # Its end is noticed at once, so patience costs nothing where it is not needed.
            started = await link.Link.open(connected, link.START_S)
        except errors.Unavailable as exc:
            await processes.end_child(pid)
            explained = self._explained(pid, exc)
            self._tell(Step.ENDED, pid, explained.sentence)
            raise explained from exc
        except asyncio.CancelledError:
            # Whoever ended the last worker and then sdd meant both: this one knows nothing yet.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # our child, not reaped: the number is still its own
            raise
        if started.inventory.release == protocol.RELEASE:
            self._tell(Step.STARTED, pid, self._why)
            return started
        started.close()
        await processes.end_child(pid)
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
        if self._serving is not None:
            self._serving.close()
            self._serving = None

    async def leave(self) -> None:
        """Hang up; a worker that serves goes on, one that sdd started for nobody ends.

        It could not remove its socket's file itself, having no right to anything.
        """
        worker = self.connected
        self.close()
        if worker is None or worker.inventory.listeners:
            return
        if processes.is_of(worker.pid, self._module):
            await self._dismiss(worker.pid, "sdd stops, and it serves nobody")
            self._forget_address()

    def _forget_address(self) -> None:
        with self._address() as path:
            Path(path).unlink(missing_ok=True)

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
                    *("--exec-root", str(self._root), "--user", self.user),
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

    def _tell(self, step: Step, pid: int, reason: str) -> None:
        change = Change(step=step, pid=pid, reason=reason)
        for told in self._told:
            told(change)

    def _reap(self) -> None:
        """Take the exit codes of the workers of ours that ended."""
        for pid in tuple(self._children):
            with contextlib.suppress(ChildProcessError):
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done:
                    continue
                self._codes[pid] = os.waitstatus_to_exitcode(status)
            self._children.discard(pid)

    def _explained(self, pid: int, exc: errors.Unavailable) -> errors.Unavailable:
        self._reap()
        status = self._codes.pop(pid, None)
        if status is None or status < 0:
            return exc
        return errors.Unavailable(
            f"the DNS worker ended at once (exit code {status})",
            hint="it said why on stderr, see sdd's log",
            code=exc.code,
        )


async def _nothing(_pid: int) -> None:
    """Whoever wants nothing of a worker that is ended."""


def _cause(code: int | None) -> str:
    """What ended a child; empty when that is not known."""
    if code is None:
        return ""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _environment(ours: Mapping[str, str]) -> Mapping[str, str]:
    """What of ours a worker needs, and the place of this very code: it is of the same release.

    Nothing else: who runs sdd may have secrets in the environment, and a worker parses what
    strangers send. It leaves our folder, so places are absolute.
    """
    here = Path(__file__).resolve().parents[2]
    others = (Path(each) for each in ours.get("PYTHONPATH", "").split(os.pathsep) if each)
    path = os.pathsep.join(str(each.absolute()) for each in (here, *others))
    return {name: ours[name] for name in INHERITED if name in ours} | {"PYTHONPATH": path}


def _peer(connected: socket.socket) -> int:
    """The pid that listens behind `connected`: who called listen(2) last, so maybe a former sdd."""
    data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(data[:4], sys.byteorder, signed=True)

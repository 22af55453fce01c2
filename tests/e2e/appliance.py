"""One real sdd in a network namespace that plays its host, and sdctl as a user types it.

Nothing is faked: the installed console scripts run, the kernel is the machine's. The namespace is
entered with nsenter and not `ip netns exec`, which would give the daemon a mount namespace of its
own and so hide the sandboxes it mounts.
"""

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.e2e.heartbeat import Heartbeat, kept_waiting_s
from tests.kernel.spaces import forward_nothing

BIN = Path(sys.executable).parent
PATIENCE_S = 60.0  # for what takes a second at most on a machine that has nothing else to do
RUN = (
    f"{os.getpid():x}"  # names on the machine are of one run, so that two runs can go side by side
)


class Appliance:
    """Starts, kills and talks to one daemon; `close` removes every trace."""

    def __init__(self, tag: str, *options: str, files: dict[str, str] | None = None) -> None:
        self.tag = tag
        self.host = f"t-e2e-{RUN}-{tag}"
        self.root = Path(tempfile.mkdtemp(prefix=f"sdd-e2e-{tag}-", dir="/run"))
        self.root.chmod(0o755)
        self.url = f"unix://{self.root}/exec/sdd.sock"
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.served: list[subprocess.Popen[bytes]] = []
        self.kept_waiting: dict[Path, float] = {}  # also of threads that are gone
        self._own, self._looked = 0.0, (time.monotonic(), 0.0)
        for name, text in (files or {}).items():
            (self.root / name).write_text(text)
        run("ip", "netns", "add", self.host)
        run("ip", "-n", self.host, "link", "set", "lo", "up")
        forward_nothing(f"/run/netns/{self.host}")

    # --- the daemon -------------------------------------------------------------------------

    def start(self, *, deadline_s: float = 120, behind: tuple[str, ...] = ()) -> None:
        """Returns when the daemon, started by the words `behind`, answers that it is ready."""
        log = (self.root / "sdd.log").open("ab")
        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.host}", *behind, *self.command()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"SDD_E2E": str(self.root)},
        )
        log.close()
        until(self._ready, deadline_s, lambda: f"sdd ready; its log:\n{self.log()}")

    def command(self) -> list[str]:
        """The daemon's command line."""
        command = [str(BIN / "sdd"), "--data-root", f"{self.root}/data"]
        return [*command, "--exec-root", f"{self.root}/exec", "--host", self.url, *self.options]

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"sdd ended with {self.process.returncode}:\n{self.log()}")
        return self.sdctl("-o", "name", "status", check=False).returncode == 0

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Ends sdd (not its worker) and waits for it."""
        assert self.process is not None
        self.process.send_signal(signum)
        self.process.wait(PATIENCE_S)

    def own_s(self) -> float:
        """A clock that stands while the daemon, a program in a sandbox or this test could go on but
        for other programs, and while the whole machine is stopped.

        What takes long by it does so on a machine that has nothing else to do.
        """
        assert self.process is not None
        lost_s = _heartbeat().stopped_s()
        for pid in (self.process.pid, os.getpid(), *(each.pid for each in self.served)):
            self.kept_waiting |= _kept_waiting_s(pid)
        self.kept_waiting.pop(_heartbeat().schedstat, None)  # it waits beside the rest of us
        lost_s += sum(self.kept_waiting.values())
        now, (at, lost_before_s) = time.monotonic(), self._looked
        # Several may wait at the same time: from one look to the next no more is lost than passed.
        self._own += max(0.0, now - at - max(0.0, lost_s - lost_before_s))
        self._looked = now, lost_s
        return self._own

    def log(self) -> str:
        """What the daemon said so far, in whole lines: the last one may be half written."""
        path = self.root / "sdd.log"
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1]

    # --- people -----------------------------------------------------------------------------

    def sdctl(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command as a user types it."""
        return run(str(BIN / "sdctl"), "-H", self.url, *args, check=check)

    def json(self, *args: str) -> Any:
        """The same with `-o json`, decoded."""
        return json.loads(self.sdctl("-o", "json", *args).stdout)

    def until_replicas(self, service: str, word: str, deadline_s: float = PATIENCE_S) -> None:
        """Until `service ls` says so, and each backend has done what the states up to then want.

        Who is up is led to on ingress too: that is another check, which may be the later one.
        """
        until(lambda: self._replicas(service) == word, deadline_s, f"{service} has {word}")
        until(lambda: not self._half(service), deadline_s, f"{service} is up on ingress")
        self.until_done()

    def until_done(self) -> None:
        """Until each backend has done what the states up to now want.

        Nobody waits for the kernel and the names to follow a verdict, as a command would.
        """
        revision = self._status()["Revision"]
        until(lambda: self._done() >= revision, PATIENCE_S, f"revision {revision} is done")

    def _replicas(self, service: str) -> str:
        rows = self.json("service", "ls")
        return str(next(row["Replicas"] for row in rows if row["Name"] == service))

    def _half(self, service: str) -> bool:
        rows = self.json("service", "ps", service)
        return any(row["State"] == "up" and row["IngressFailing"] for row in rows)

    def _done(self) -> int:
        return min(int(backend["Revision"]) for backend in self._status()["Backends"])

    def _status(self) -> Any:
        (status,) = self.json("status")
        return status

    def inside(
        self, sandbox: str, *command: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command in a sandbox, with its resolv.conf and hosts."""
        return run("ip", "netns", "exec", self.name(sandbox), *command, check=check)

    def on_host(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command in the namespace that plays the host."""
        return run("nsenter", f"--net=/run/netns/{self.host}", *command, check=check)

    def name(self, sandbox: str) -> str:
        """Sandbox names are links in /var/run/netns, which the whole machine shares."""
        return f"t-{RUN}-{self.tag}-{sandbox}"

    def sandbox(self, name: str, *options: str) -> str:
        """Creates one and returns its full name."""
        self.sdctl("sandbox", "create", self.name(name), "--network-alias", name, *options)
        return self.name(name)

    def sandbox_plain(self, name: str) -> str:
        """One without any option: it joins the default network."""
        self.sdctl("sandbox", "create", self.name(name))
        return self.name(name)

    def program(self, sandbox: str, *command: str) -> subprocess.Popen[bytes]:
        """A program in a sandbox, in a process group of its own; ended with the appliance at last."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name(sandbox), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"SDD_E2E": str(self.root)},
        )
        self.served.append(process)
        return process

    def serve(self, sandbox: str, port: int = 80) -> subprocess.Popen[bytes]:
        """An HTTP server that says who it is and which client address it sees."""
        server = Path(__file__).parents[2] / "tools" / "demo_server.py"
        process = self.program(sandbox, sys.executable, str(server), sandbox)
        until(
            lambda: f":{port} " in self.inside(sandbox, "ss", "-Hltn").stdout,
            PATIENCE_S,
            f"{sandbox} listens",
        )
        return process

    def close(self) -> None:
        """Removes every trace, also of a daemon that was killed."""
        for signum, patience_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, PATIENCE_S)):
            for pid in self.pids():
                with suppress(ProcessLookupError):  # it ended since, maybe with another one
                    os.kill(pid, signum)
            try:
                until(lambda: not self.pids(), patience_s, "our processes end")
                break
            except AssertionError:
                continue
        for process in self.served:
            process.wait(PATIENCE_S)
        if self.process is not None:
            self.process.wait(PATIENCE_S)
        self._remove_files()
        run("ip", "netns", "del", self.host, check=False)

    def pids(self) -> list[int]:
        """The live processes that carry our mark in their environment, or among their arguments."""
        marks = {f"SDD_E2E={self.root}".encode(), f"{self.root}/exec".encode()}
        return [pid for pid in pids() if marked(pid, marks)]

    def _remove_files(self) -> None:
        for link in (*Path("/var/run/netns").glob("*"), *Path("/etc/netns").glob("*/*")):
            if link.is_symlink() and str(link.readlink()).startswith(str(self.root)):
                link.unlink()
                if link.parent.parent == Path("/etc/netns"):
                    run("rmdir", "--ignore-fail-on-non-empty", str(link.parent), check=False)
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self.root}/")), reverse=True):
            run("umount", "-l", mount, check=False)
        run("rm", "-rf", str(self.root))


@contextmanager
def appliance(tag: str, *options: str, files: dict[str, str] | None = None) -> Iterator[Appliance]:
    """A started daemon; every trace is gone afterwards."""
    one = Appliance(tag, *options, files=files)
    try:
        one.start()
        yield one
    finally:
        one.close()


def pids() -> list[int]:
    """Every process of this machine."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def marked(pid: int, marks: Collection[bytes]) -> bool:
    """Whether `pid` runs (is no zombie) and was started with one of `marks`."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        words = b"".join(
            Path(f"/proc/{pid}/{each}").read_bytes() for each in ("environ", "cmdline")
        )
        return state != "Z" and any(each in marks for each in words.split(b"\0"))
    except OSError:
        return False


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Output captured; a failure shows it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} → {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def _kept_waiting_s(pid: int) -> dict[Path, float]:
    """How long each of its threads was ready to run and others had the processors."""
    found: dict[Path, float] = {}
    for each in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # it ends
            found[each] = kept_waiting_s(each)
    return found


@functools.cache
def _heartbeat() -> Heartbeat:
    return Heartbeat()


def until(
    condition: Any,
    deadline_s: float,
    why: str | Callable[[], str],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Polls until `condition()` holds; `why` may be made when it is needed.

    It is looked at once more after the deadline: all may have been stopped since the last look.
    """
    end, is_over = clock() + deadline_s, False
    while not condition():
        if is_over:
            raise AssertionError(
                f"not within {deadline_s} s: {why if isinstance(why, str) else why()}"
            )
        is_over = clock() > end
        time.sleep(0.02)

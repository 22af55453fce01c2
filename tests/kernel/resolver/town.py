"""Scratch sandboxes with names from a real worker; everything is gone after `close`."""

import contextlib
import os
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from resolver import reconciler
from resolver.control import launch, processes
from resolver.explain import query
from resolver.files import own, upstreams
from resolver.space import place
from sdd import errors
from sdd.linux import guests, lookups, namespaces
from sdd.model import endpoint, progress, sandbox
from sdd.model.look import EVERYWHERE, NOWHERE
from sdd.state import Object
from tests import resolver_states as states


@dataclass
class Town:
    """`daemon()` makes one sdd's edge; a second one is what a restart of sdd makes."""

    root: Path
    doors: namespaces.Namespaces = field(default_factory=namespaces.Namespaces)
    launchers: list[launch.Launcher] = field(default_factory=list)
    daemons: list[reconciler.Reconciler] = field(default_factory=list)
    revision: int = 0

    def __post_init__(self) -> None:
        lookups.ALL.trust(self.root / "ns")  # what netns makes, as the daemon does

    def daemon(
        self,
        settings: upstreams.DaemonDns | None = None,
        *,
        module: str = launch.MODULE,
        ready_s: float = place.READY_S,
    ) -> reconciler.Reconciler:
        launcher = launch.Launcher(self.root / "exec", "nobody", module=module)
        self.launchers.append(launcher)
        one = reconciler.Reconciler(
            self.doors,
            launcher,
            states.NODE,
            own.Files(self.root / "data", self.root / "etc-netns"),
            settings or upstreams.DaemonDns(),
            been=guests.Guests(self.root / "exec" / "dns-guests"),
            ready_s=ready_s,
        )
        self.daemons.append(one)
        return one

    def path(self, name: str) -> str:
        return str(self.root / "ns" / f"t-redge-{name}")

    async def make(self, name: str) -> str:
        """A namespace with `lo` up, as netns makes them."""
        await self.doors.create(self.path(name))
        self.inside(name, "ip", "link", "set", "lo", "up")
        return self.path(name)

    def inside(self, name: str, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            ["nsenter", f"--net={self.path(name)}", *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert not (check and done.returncode), f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def dig(self, name: str, *question: str) -> str:
        return self.inside(
            name, "dig", "+short", "+tries=1", "+time=30", "@127.0.0.11", *question, check=False
        ).strip()

    async def realise(
        self, daemon: reconciler.Reconciler, *values: Object, again: bool = False
    ) -> progress.Outcome:
        self.revision += not again
        look = EVERYWHERE if again else NOWHERE
        return await daemon.realise(states.state(*values, revision=self.revision), look)

    async def settle(self, daemon: reconciler.Reconciler, *values: Object) -> progress.Outcome:
        """All is well, and nothing is left to do."""
        outcome = await self.realise(daemon, *values)
        assert outcome.failures == ()
        again = await self.realise(daemon, *values, again=True)
        assert (again.failures, again.changed) == ((), 0)
        return outcome

    async def ask(self, name: str, question: str, rdtype: str = "A") -> query.Reply:
        asker = query.Asker(self.doors)
        return await asker.ask(self.path(name), question, rdtype, tcp=False, timeout_s=30)

    async def worker(self) -> int:
        return (await self.launchers[-1].ensure()).pid

    def restart(self) -> None:
        """What the worker sees of a `kill -9` of sdd."""
        self.launchers[-1].close()
        self.daemons[-1].close()

    async def close(self) -> None:
        for each in self.daemons:
            each.close()
        for launcher in self.launchers:
            try:
                pid = (await launcher.ensure()).pid
            except errors.Unavailable:
                continue
            launcher.close()
            await end_worker(pid)
            break
        for made in self.root.glob("ns/t-redge-*"):
            await self.doors.delete(str(made))
        self.doors.close()


async def end_worker(pid: int) -> None:
    """`kill -9`, and wait until it is over; whoever started it may be dead."""
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)  # noqa: ASYNC222 - it was killed, this ends at once
    await until_over(pid)


async def until_over(pid: int) -> None:
    """Until `pid` has ended; fails when it goes on."""
    for _ in range(60):
        if await processes.is_over(pid):
            return
    pytest.fail(f"process {pid} goes on")


def pair(town: Town, name: str, number: int) -> tuple[sandbox.Sandbox, endpoint.Endpoint]:
    return states.box(name, town.path(name)), states.plug(name, "red", f"10.44.1.{number}/24")


def loopback(kind: socket.SocketKind) -> socket.socket:
    return socket.socket(socket.AF_INET, kind)

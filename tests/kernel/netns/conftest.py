"""Each test gets a namespace that plays the host, and a kernel over it."""

import itertools
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from netns import reconciler
from netns.kernel import linux
from sdd import state
from sdd.linux import lookups, namespaces
from sdd.model import ids, progress
from sdd.model.look import EVERYWHERE, NOWHERE
from tests import netns_states
from tests.kernel.spaces import forward_nothing

_NUMBER = itertools.count(1)


@dataclass
class Host:
    """A pretended host; `run` runs a tool in it, `inside` in one of its sandboxes."""

    path: str
    root: Path
    doors: namespaces.Namespaces
    kernel: linux.LinuxKernel
    reconciler: reconciler.Reconciler
    revision: ids.Revision = ids.NEVER

    def run(self, *command: str, check: bool = True) -> str:
        return run_in(self.path, *command, check=check)

    def sandbox_path(self, name: str) -> str:
        return str(self.root / "exec" / "netns" / name)

    def inside(self, name: str, *command: str, check: bool = True) -> str:
        return run_in(self.sandbox_path(name), *command, check=check)

    async def realise(self, now: state.ClusterState) -> progress.Outcome:
        """Looks everywhere at the revision of the last pass, else only at what is new."""
        look = EVERYWHERE if now.revision == self.revision else NOWHERE
        self.revision = now.revision
        return await self.reconciler.realise(now, look)

    async def settle(self, now: state.ClusterState) -> progress.Outcome:
        """Realises and demands that all is well and nothing is left to do."""
        outcome = await self.realise(now)
        assert outcome.failures == ()
        again = await self.realise(now)
        assert (again.failures, again.changed) == ((), 0)
        return outcome


def run_in(path: str, *command: str, check: bool = True) -> str:
    done = subprocess.run(
        ["nsenter", f"--net={path}", *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if check and done.returncode:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout if check else done.stdout + done.stderr


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    name = f"t-netns-{os.getpid()}-{next(_NUMBER)}"
    path = str(tmp_path / name)
    lookups.ALL.trust(tmp_path / "exec" / "netns")  # as the daemon does
    outside = namespaces.Namespaces(workers=1)
    await outside.create(path)
    doors = namespaces.Namespaces(path)
    kernel = linux.LinuxKernel(doors, tmp_path / "exec", tmp_path / "var-run-netns")
    one = Host(path, tmp_path, doors, kernel, reconciler.Reconciler(kernel, netns_states.NODE))
    one.run("ip", "link", "set", "lo", "up")
    forward_nothing(path)
    yield one
    for each in (tmp_path / "exec").glob("netns/*"):
        await outside.delete(str(each))
    for each in tmp_path.glob("t-netns-*"):
        await outside.delete(str(each))
    doors.close()
    outside.close()

"""Files elsewhere that hang: each is its sandbox's own failure, all are waited for at once."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from resolver import reconciler
from resolver.control import launch
from resolver.desired import NOTHING, Wanted, desired
from resolver.files import errand, own
from resolver.files.upstreams import DaemonDns
from sdd.linux import guests, namespaces
from sdd.model import ids, sandbox
from sdd.model.look import EVERYWHERE
from tests import resolver_states as states
from tests import standing
from tests.hung import Hung
from tests.support import eventually

pytestmark = pytest.mark.kernel

THEIRS = "nameserver 192.0.2.1\n"
MANY = 6
LATER = DaemonDns(search=("corp.example",))


class Host:
    """Of which each sandbox has a folder with a file elsewhere; those of `hang` may hang."""

    def __init__(self, root: Path, doors: namespaces.Namespaces) -> None:
        self.root = root
        self.own = standing.Clock(time.monotonic)  # stands while the machine does
        threading.Thread(target=self.own.look, daemon=True).start()
        self.boxes = [f"box{each}" for each in range(MANY)]
        for name in self.boxes:
            self.file(name).parent.mkdir(parents=True)
            self.file(name).write_text(THEIRS)
        self.files = own.Files(root / "data", root / "netns")
        self.one = reconciler.Reconciler(
            *(doors, launch.Launcher(root), states.NODE, self.files, DaemonDns()),
            been=guests.Guests(root / "guests"),
        )

    def file(self, name: str) -> Path:
        """Every other one is in a folder of what hangs, else in its root."""
        return self.root / name / ("etc" * (int(name[-1]) % 2)) / "resolv.conf"

    def want(self, settings: DaemonDns = DaemonDns(), *gone: str) -> Wanted:  # noqa: B008 - frozen
        every = [self._box(name) for name in self.boxes if name not in gone]
        return desired(states.state(states.net("lab"), *every), states.NODE, settings, NOTHING)

    def _box(self, name: str) -> sandbox.Sandbox:
        where = sandbox.ResolvConf(writing=sandbox.Writing.FILE, path=str(self.file(name)))
        return replace(states.box(name), resolv_conf=where)

    async def written(self, want: Wanted) -> tuple[list[str], float]:
        """Whose files hang, and how long that took to hear."""
        begun = self.own()
        done = await self.one._write(want, EVERYWHERE)
        assert {each.code for each in done.failures} <= {errand.CODE}
        names = {states.identity(name): name for name in self.boxes}
        told = sorted(names[each.subject] for each in done.failures)
        return told, self.own() - begun

    def unmount(self, name: str) -> None:
        subprocess.run(["umount", "-l", self.root / name], check=True)

    def own_text(self, name: str) -> str:
        return self.files.path(ids.SandboxId(states.identity(name))).read_text()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with contextlib.closing(namespaces.Namespaces()) as doors:
        yield Host(tmp_path, doors)


@contextlib.contextmanager
def hanging(host: Host, *names: str) -> Iterator[list[Hung]]:
    every = [Hung(host.root / name) for name in names]
    try:
        yield every
    finally:
        for each in every:
            each.end()
        eventually(lambda: not stuck(), 10, "nobody is stuck any more")


def stuck() -> int:
    return sum(each.name == "file" for each in threading.enumerate())


async def test_all_that_hang_are_waited_for_once_and_the_others_are_written(host: Host) -> None:
    bad, good = host.boxes[:-1], host.boxes[-1]
    with hanging(host, *bad) as every:
        told, took_s = await host.written(host.want())
        assert told == bad
        assert took_s < 2 * errand.PATIENCE_S
        assert host.file(good).read_text() == host.own_text(good)
        asked = [each.asked for each in every]
        for _ in range(3):
            told, took_s = await host.written(host.want(LATER))
            assert told == bad
            assert took_s < errand.PATIENCE_S
        assert stuck() == len(bad)
        assert [each.asked for each in every] == asked
        assert all("corp.example" in host.own_text(name) for name in host.boxes)
        assert "corp.example" in host.file(good).read_text()
        for name in bad[:2]:  # a thread is still stuck in it
            host.unmount(name)
        assert (await host.written(host.want(LATER)))[0] == bad[2:]
    assert (await host.written(host.want(LATER)))[0] == []
    assert all(host.file(name).read_text() == host.own_text(name) for name in host.boxes)


async def test_what_was_there_before_is_put_back_when_it_is_heard_of(host: Host) -> None:
    bad, other = host.boxes[:-1], host.boxes[-1]
    await host.written(host.want())
    with hanging(host, *bad):
        for limit_s in (2 * errand.PATIENCE_S, errand.PATIENCE_S):
            told, took_s = await host.written(host.want(DaemonDns(), *host.boxes))
            assert told == []
            assert took_s < limit_s
        assert host.file(other).read_text() == THEIRS
        assert stuck() == len(bad)
    await host.written(host.want(DaemonDns(), *host.boxes))
    assert all(host.file(name).read_text() == THEIRS for name in host.boxes)
    assert list((host.root / "data/sandboxes").iterdir()) == []


async def test_nobody_can_tell_whether_a_file_that_hangs_was_edited(host: Host) -> None:
    name = host.boxes[0]
    box = ids.SandboxId(states.identity(name))
    await host.written(host.want())
    host.file(name).write_text("nameserver 192.0.2.9\n")
    assert host.files.edited(box) == (str(host.file(name)),)
    with hanging(host, name):
        for _ in range(3):
            assert host.files.edited(box) == ()
        assert stuck() == 1

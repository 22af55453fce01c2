"""A container whose own /etc hangs, into which resolv.conf is written: all others go on."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resolver.files import errand
from tests.e2e.appliance import Appliance, appliance, until
from tests.e2e.prompt import PROMPT_S, create, promptly
from tests.guest import guest
from tests.hung import hung

THEIRS = "nameserver 192.0.2.1\n"
WELL: dict[str, list[tuple[str, str]]] = {"netns": [], "lb": [], "ports": [], "resolver": []}


@pytest.fixture
def daemon() -> Iterator[Appliance]:
    with appliance("hungfiles") as one:
        one.sdctl("network", "create", "front", "--subnet", "10.91.0.0/24")
        one.sandbox("web1", "--network", "front")
        yield one


@pytest.fixture
def etc(tmp_path: Path) -> Iterator[Path]:
    """Of a container, to which what is mounted here comes, too."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/resolv.conf").write_text(THEIRS)
    subprocess.run(["mount", "--bind", root, root], check=True)
    subprocess.run(["mount", "--make-shared", root], check=True)
    yield root / "etc"
    subprocess.run(["umount", "-l", root], check=True)


@contextmanager
def attached(one: Appliance, name: str, root: Path) -> Iterator[str]:
    with guest(root) as pid:
        here = ("--pid", str(pid), "--write-resolv-conf", "/etc/resolv.conf")
        one.sdctl("sandbox", "attach", one.name(name), "--network", "front", *here)
        yield one.name(name)


def failures(one: Appliance) -> dict[str, list[tuple[str, str]]]:
    """By backend: the name of what failed, the code."""
    (status,) = one.json("status")
    return {
        each["Name"]: [(failed["Name"], failed["Code"]) for failed in each["Failures"]]
        for each in status["Backends"]
    }


def goes_on(one: Appliance, name: str) -> None:
    """Another sandbox is made at once, and finds and is found."""
    with promptly(one, PROMPT_S + errand.PATIENCE_S) as client:
        create(client, one, name)
    assert one.inside("web1", "getent", "ahostsv4", name).returncode == 0
    assert one.inside(name, "getent", "ahostsv4", "web1").returncode == 0


def threads(one: Appliance) -> int:
    assert one.process is not None
    return len(list(Path(f"/proc/{one.process.pid}/task").iterdir()))


def test_an_etc_that_hangs_is_one_sandbox_s_failure(daemon: Appliance, etc: Path) -> None:
    with attached(daemon, "guest", etc.parent) as name, hung(etc) as away:
        told = WELL | {"resolver": [(name, errand.CODE)]}
        until(lambda: failures(daemon) == told, 60, "it is told of that sandbox alone")
        before, asked = threads(daemon), away.asked
        for each in range(4):
            goes_on(daemon, f"new{each}")
            daemon.sdctl("sandbox", "inspect", name)
        assert threads(daemon) <= before + 1
        assert away.asked == asked, "nobody goes where one is stuck"
        assert "SDD-BACKEND" not in daemon.log()
        assert daemon.log().count(errand.CODE) <= 2, "it is told once"
        daemon.sdctl("network", "update", "front", "--dns-search-add", "corp.example")
        away.end()
        until(lambda: failures(daemon) == WELL, 30, "all is well again")
        assert "search corp.example" in (etc / "resolv.conf").read_text()
        daemon.sdctl("sandbox", "rm", name)
        assert (etc / "resolv.conf").read_text() == THEIRS


def test_what_is_unmounted_hangs_nobody_though_one_is_stuck_in_it(
    daemon: Appliance, etc: Path
) -> None:
    with attached(daemon, "guest", etc.parent), hung(etc) as away:
        until(lambda: errand.CODE in str(failures(daemon)), 60, "it is told")
        subprocess.run(["umount", "-l", away.path], check=True)
        until(lambda: failures(daemon) == WELL, 30, "another file is there")


def test_a_sandbox_whose_etc_hangs_can_be_removed_and_its_file_is_put_back_later(
    daemon: Appliance, etc: Path
) -> None:
    with attached(daemon, "guest", etc.parent) as name, hung(etc) as away:
        daemon.kill()
        daemon.start()
        until(lambda: errand.CODE in str(failures(daemon)), 30, "it is told")
        with pytest.raises(AssertionError, match=errand.CODE), attached(daemon, "late", etc.parent):
            pass
        assert daemon.name("late") not in daemon.sdctl("sandbox", "ls").stdout
        with promptly(daemon, PROMPT_S + errand.PATIENCE_S) as client:
            client.delete(f"/v1/sandboxes/{name}")
        until(lambda: failures(daemon) == WELL, 30, "nobody misses it")
        goes_on(daemon, "new")
        away.end()
        until(lambda: (etc / "resolv.conf").read_text() == THEIRS, 60, "it is put back")


def test_who_comes_again_after_a_removal_that_hung_gets_names_and_his_own_file_back(
    daemon: Appliance, etc: Path
) -> None:
    file = etc / "resolv.conf"
    with guest(etc.parent) as pid:
        here = ("--pid", str(pid), "--write-resolv-conf", "/etc/resolv.conf")
        attach = ("sandbox", "attach", daemon.name("guest"), "--network", "front", *here)
        daemon.sdctl(*attach)
        with hung(etc) as away:
            until(lambda: errand.CODE in str(failures(daemon)), 60, "it is told")
            daemon.sdctl("sandbox", "rm", daemon.name("guest"))
            away.end()
        until(lambda: not daemon.sdctl(*attach, check=False).returncode, 60, "it is there again")
        assert "127.0.0.11" in file.read_text()
        until(lambda: failures(daemon) == WELL, 30, "all is well")
        (shown,) = daemon.json("sandbox", "inspect", daemon.name("guest"))
        assert shown["EditedFiles"] == []
        daemon.kill()
        daemon.start()  # which looks everywhere
        assert "127.0.0.11" in file.read_text()
        daemon.sdctl("sandbox", "rm", daemon.name("guest"))
        assert file.read_text() == THEIRS


def test_sdd_ends_when_what_hangs_is_gone(daemon: Appliance, etc: Path) -> None:
    """As with the path of a namespace, a thread that is stuck keeps the process until then."""
    with attached(daemon, "guest", etc.parent), hung(etc) as away:
        until(lambda: errand.CODE in str(failures(daemon)), 60, "it is told")
        assert daemon.process is not None
        daemon.process.terminate()
        until(lambda: "sdd.stopped" in daemon.log(), 20, "it has done its part")
        away.end()
        assert daemon.process.wait(20) == 0
        daemon.start()
        until(lambda: failures(daemon) == WELL, 30, "all is well")

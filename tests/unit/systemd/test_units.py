"""The units as systemd itself reads them, in a scratch root where the commands are installed."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from sdd.linux import capabilities

UNITS = Path(__file__).parents[3] / "systemd"
SYSTEM = Path("/usr/lib/systemd/system")
NAMES = ("sdd.service", "sdd.socket", "sdd-dns.service", "sdd-dns.socket")

# systemd.exec(5): each of these gives a unit its own mount namespace with slave propagation.
MOUNT_NAMESPACE = {
    "RootDirectory",
    "RootImage",
    "MountImages",
    "ExtensionImages",
    "PrivateMounts",
    "MountFlags",
    "BindPaths",
    "BindReadOnlyPaths",
    "TemporaryFileSystem",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "ExecPaths",
    "NoExecPaths",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateIPC",
    "ProtectSystem",
    "ProtectHome",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectProc",
    "ProcSubset",
    "DynamicUser",
    "MountAPIVFS",
}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here: apt-get install systemd")
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def directives(unit: str) -> Mapping[str, str]:
    lines = (UNITS / unit).read_text().splitlines()
    settings = (line for line in lines if "=" in line and not line.startswith("#"))
    pairs = ((key, value) for key, _, value in (line.partition("=") for line in settings))
    return dict(pairs)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """/usr/bin with the commands, the units, and the targets they name."""
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/lib/systemd").mkdir(parents=True)
    for command in ("sdd", "sdd-dns", "kill"):
        path = tmp_path / "usr/bin" / command
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    shutil.copytree(SYSTEM, tmp_path / "usr/lib/systemd/system", symlinks=True)
    for name in NAMES:
        shutil.copy(UNITS / name, tmp_path / "etc/systemd/system" / name)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_to_say(root: Path, name: str) -> None:
    # With --man, which is the default: a page that a unit names must exist.
    done = run(tool("systemd-analyze"), "verify", f"--root={root}", name)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "sdd" in line]
    assert (done.returncode, ours) == (0, [])


def test_systemd_would_notice_a_mistake(root: Path) -> None:
    path = root / "etc/systemd/system/sdd.service"
    path.write_text(path.read_text().replace("KillMode=process", "KilMode=process"))
    done = run(tool("systemd-analyze"), "verify", "--man=no", f"--root={root}", "sdd.service")
    assert "KilMode" in done.stderr


def test_what_sdd_mounts_stays_visible_to_the_host() -> None:
    assert not directives("sdd.service").keys() & MOUNT_NAMESPACE


def test_sdd_holds_each_capability_that_it_asks_for() -> None:
    given = directives("sdd.service")["CapabilityBoundingSet"].split()
    assert {*capabilities.NEEDED, *capabilities.HELPFUL} <= set(given)


def test_the_worker_holds_no_capability_and_is_not_root() -> None:
    found = directives("sdd-dns.service")
    assert found["CapabilityBoundingSet"] == ""
    assert found["AmbientCapabilities"] == ""
    assert found["User"] == "sdd-dns"
    assert found["NoNewPrivileges"] == "yes"


def test_the_sockets_are_where_the_programs_look() -> None:
    assert directives("sdd.socket")["ListenStream"] == "/run/sdd/sdd.sock"
    assert directives("sdd.socket")["SocketMode"] == "0660"
    assert directives("sdd-dns.socket")["ListenSequentialPacket"] == "/run/sdd/dns.sock"


def test_sysusers_makes_the_group_and_the_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = run(tool("systemd-sysusers"), f"--root={tmp_path}", str(UNITS / "sdd.sysusers"))
    assert done.returncode == 0, done.stderr
    assert "sdd:" in (tmp_path / "etc/group").read_text()
    assert "sdd-dns:" in (tmp_path / "etc/passwd").read_text()


def test_tmpfiles_makes_the_directories(tmp_path: Path) -> None:
    command = (tool("systemd-tmpfiles"), "--create", f"--root={tmp_path}")
    done = run(*command, str(UNITS / "sdd.tmpfiles"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/sdd/netns").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "var/lib/sdd").is_dir()

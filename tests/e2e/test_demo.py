"""./demo as a newcomer runs it: ends 0 having shown every step, and leaves nothing."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def traces() -> set[str]:
    """Namespaces, links, tables and files that a demo could leave on this machine."""
    found = {f"netns {name}" for name in listing(Path("/var/run/netns"))}
    found |= {f"link {name}" for name in listing(Path("/sys/class/net"))}
    found |= {f"etc-netns {name}" for name in listing(Path("/etc/netns"))}
    found |= {f"folder {path}" for path in (Path("/etc/netns"),) if path.is_dir()}
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    found |= {f"table {line}" for line in tables.stdout.splitlines()}
    mounts = Path("/proc/self/mountinfo").read_text()
    found |= {f"mount {line.split()[4]}" for line in mounts.splitlines() if "sdd-demo" in line}
    return found | {f"file {path}" for path in Path("/run").glob("sdd-demo*")}


def listing(path: Path) -> list[str]:
    return [each.name for each in path.iterdir()] if path.is_dir() else []


def demo(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "demo"), *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=850,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.timeout(900)
def test_the_demo_shows_every_step_and_leaves_nothing() -> None:
    before = traces()
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [line for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert [line.split(".")[0] for line in steps] == [str(n + 1) for n in range(len(steps))]
    assert len(steps) == 11
    assert "db.front A: NXDOMAIN" in done.stdout
    assert "sdd_dns_responses_total" in done.stdout
    assert traces() == before


def test_help_is_whole_and_what_is_not_understood_is_a_usage_error() -> None:
    for flag in ("-h", "--help"):
        done = demo(flag)
        assert (done.returncode, done.stderr) == (0, "")
        assert "./demo down     remove every trace" in done.stdout
        assert done.stdout.endswith(".\n")
    for bad in (("--kepe",), ("--keep", "down")):
        refused = demo(*bad)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "use ./demo, ./demo --keep or ./demo down" in refused.stderr


@pytest.mark.timeout(900)
def test_demo_keep_runs_on_and_down_removes_it() -> None:
    before = traces()
    kept = demo("--keep")
    assert kept.returncode == 0, kept.stdout + kept.stderr
    socket = Path("/run/sdd-demo") / "exec" / "sdd.sock"
    made = ("sandbox", "create", "played", "--network", "front")
    subprocess.run([str(ROOT / ".venv/bin/sdctl"), "-H", f"unix://{socket}", *made], check=True)
    assert (Path("/etc/netns/played") / "resolv.conf").is_symlink()
    down = demo("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert traces() == before


@pytest.mark.timeout(900)
@pytest.mark.parametrize("is_dead", [False, True], ids=["running", "killed"])
def test_down_leaves_nothing_in_a_namespace_that_was_taken_in(*, is_dead: bool) -> None:
    before = traces()
    assert demo("--keep").returncode == 0
    root, guest = Path("/run/sdd-demo"), "demo-guest"
    subprocess.run(["ip", "netns", "add", guest], check=True)
    try:
        taken = ("sandbox", "attach", "played", "--netns", guest, "--network", "front")
        sdctl = str(ROOT / ".venv/bin/sdctl")
        subprocess.run([sdctl, "-H", f"unix://{root}/exec/sdd.sock", *taken], check=True)
        assert inside(guest, "nft", "list", "tables")
        if is_dead:
            os.kill(int((root / "sdd.pid").read_text()), signal.SIGKILL)
        assert demo("down").returncode == 0
        assert inside(guest, "nft", "list", "tables") == ""
        assert "eth0" not in inside(guest, "ip", "-br", "link")
    finally:
        subprocess.run(["ip", "netns", "del", guest], check=True)
    assert traces() == before


def inside(name: str, *command: str) -> str:
    done = ("ip", "netns", "exec", name, *command)
    return subprocess.run(done, check=True, capture_output=True, text=True).stdout


# /etc as a copy of its own, in which somebody else made the folder that `ip netns` also uses.
COPIED_ETC = """
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
mkdir -p /etc/netns/web1
"$2" down && test -d /etc/netns/web1
"""


def test_down_leaves_the_folders_that_were_there(tmp_path: Path) -> None:
    command = ("unshare", "--mount", "sh", "-ec", COPIED_ETC, "sh", str(tmp_path))
    done = subprocess.run(
        [*command, str(ROOT / "demo")], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_name_that_the_machine_has_already_is_said_before_anything_is_made() -> None:
    subprocess.run(["ip", "netns", "add", "client"], check=True)
    try:
        before = traces()
        refused = demo()
        assert refused.returncode == 1
        assert "has a network namespace client already" in refused.stderr
        assert traces() == before
    finally:
        subprocess.run(["ip", "netns", "del", "client"], check=True)

"""`sandbox exec` keeps the sandbox's names, whatever the host does to its own files meanwhile."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import BIN, Appliance, until

pytestmark = pytest.mark.skipif(
    "SDD_FURNISHED" not in os.environ, reason="changes /etc and /run: only in tests/lab/room"
)
RESOLV_CONF, HOSTS = Path("/etc/resolv.conf"), Path("/etc/hosts")
HOST = "nameserver 192.0.2.1\n"
SOON_S = 60
TELL = 'while read -r file; do cat "$file" 2>&1; echo .; done'  # what it sees, when it is asked


@pytest.fixture
def box(daemon: Appliance) -> Iterator[str]:
    """A sandbox on a network; afterwards the host's files are as before, and no keeper is left."""
    before = {path: path.read_text() for path in (RESOLV_CONF, HOSTS)}
    daemon.sdctl("network", "create", "net")
    try:
        yield daemon.sandbox("c", "--network", "net")
        until(lambda: not keepers(), SOON_S, "no keeper is left")
    finally:
        for path, text in before.items():
            path.unlink(missing_ok=True)
            path.write_text(text)
        daemon.sdctl("sandbox", "rm", daemon.name("c"))
        daemon.sdctl("network", "rm", "net")


def keepers() -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*/comm"):
        try:
            if each.read_text() == "sdd-keeper\n":
                found.append(each.parent.name)
        except OSError:
            continue
    return found


def start(daemon: Appliance, box: str, *command: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    words = [str(BIN / "sdctl"), "-H", daemon.url, "sandbox", "exec", box, "--", *command]
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def seen(reader: subprocess.Popen[str], file: Path) -> str:
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write(f"{file}\n")
    reader.stdin.flush()
    return "".join(iter(reader.stdout.readline, ".\n"))


def until_ours(reader: subprocess.Popen[str]) -> None:
    for file, word in ((RESOLV_CONF, "nameserver 127.0.0.11"), (HOSTS, "t-")):
        until(lambda f=file, w=word: w in seen(reader, f), SOON_S, f"{file} is the sandbox's")


def rename_over(file: Path, text: str) -> None:
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.replace(file)


def lead(file: Path, target: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(target)
    link.replace(file)


def test_a_long_running_program_keeps_its_names(daemon: Appliance, box: str) -> None:
    reader = start(daemon, box, "sh", "-c", TELL)
    until_ours(reader)
    rename_over(RESOLV_CONF, HOST)
    rename_over(HOSTS, "192.0.2.1 elsewhere\n")
    until_ours(reader)
    for file, text in ((RESOLV_CONF, HOST), (HOSTS, "192.0.2.2 elsewhere\n")):
        file.unlink()
        file.write_text(text)
    until_ours(reader)
    first, second = Path("/run/stub-one"), Path("/run/stubs/two")
    first.write_text(HOST)
    lead(RESOLV_CONF, first)
    until_ours(reader)
    lead(RESOLV_CONF, second)
    second.parent.mkdir()
    second.write_text(HOST)
    until_ours(reader)
    rename_over(second, HOST)  # as systemd-resolved does
    until_ours(reader)
    assert RESOLV_CONF.read_text() == HOST
    assert reader.communicate() == ("", "")
    assert reader.returncode == 0


@pytest.mark.parametrize("is_link", [False, True])
def test_without_a_file_of_the_host_it_says_so_and_waits_for_one(
    daemon: Appliance, box: str, is_link: bool
) -> None:
    there = Path("/run/nowhere/stub") if is_link else RESOLV_CONF
    RESOLV_CONF.unlink()
    if is_link:
        RESOLV_CONF.symlink_to(there)
        there.parent.mkdir(exist_ok=True)
    reader = start(daemon, box, "sh", "-c", TELL)
    assert "No such file" in seen(reader, RESOLV_CONF)
    there.touch()
    until_ours(reader)
    out, err = reader.communicate()
    assert out == ""
    assert err.startswith("Warning: ")
    assert err.count("\n") == 1
    assert str(there) in err


def test_a_pipe_ends_with_the_command_and_a_daemon_of_it_keeps_its_names(
    daemon: Appliance, box: str
) -> None:
    sdctl = f"{BIN}/sdctl -H {daemon.url} sandbox exec {box} --"
    script = f"{sdctl} sh -c 'ip netns identify; cat; exit 3' | cat; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], input="in", capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "in3"
    program = start(
        daemon, box, "sh", "-c", "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $!"
    )
    pid = int(program.communicate(timeout=60)[0])
    try:
        inside = Path(f"/proc/{pid}/root/etc/resolv.conf")
        rename_over(RESOLV_CONF, HOST)
        until(lambda: "127.0.0.11" in inside.read_text(), SOON_S, "the daemon's file is ours")
        members = daemon.on_host("ip", "netns", "pids", box).stdout.split()
        assert members == [str(pid)]  # the keeper is not in the sandbox's network
    finally:
        os.kill(pid, 9)

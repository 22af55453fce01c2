"""`sandbox attach`: a process with a root of its own finds names, and its file is put back."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import PATIENCE_S, Appliance, appliance, until
from tests.guest import guest

THEIRS = "nameserver 192.0.2.1\n"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("attach") as one:
        one.sdctl("network", "create", "red", "--subnet", "10.62.0.0/24")
        yield one


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "root"
    (found / "etc").mkdir(parents=True)
    (found / "etc/resolv.conf").write_text(THEIRS)
    return found


def attach(one: Appliance, name: str, *options: str) -> tuple[int, str]:
    done = one.sdctl("sandbox", "attach", name, "--network", "red", *options, check=False)
    return done.returncode, done.stderr


def test_a_process_reads_our_resolv_conf_in_its_own_root(daemon: Appliance, root: Path) -> None:
    file = root / "etc/resolv.conf"
    with guest(root) as pid:
        here = ("--pid", str(pid), "--write-resolv-conf", "/etc/resolv.conf")
        assert attach(daemon, "boxed", *here) == (0, "")
        (box,) = daemon.json("sandbox", "inspect", "boxed")
        assert box["WriteResolvConf"] == "/etc/resolv.conf"
        assert file.read_text() == Path(box["ResolvConfPath"]).read_text()
        assert "nameserver 127.0.0.11\n" in file.read_text()
        daemon.kill()
        daemon.start()
        daemon.sdctl("network", "update", "red", "--dns-search-add", "corp.example")
        assert "search corp.example\n" in file.read_text()
        daemon.sdctl("network", "update", "red", "--dns-search-rm", "corp.example")
        daemon.sdctl("sandbox", "rm", "boxed")
        until(lambda: file.read_text() == THEIRS, PATIENCE_S, "put back")


def test_A8_95_an_edited_file_stays_as_it_is(daemon: Appliance, root: Path) -> None:
    file = root / "etc/resolv.conf"
    with guest(root) as pid:
        attach(daemon, "edited", "--pid", str(pid), "--write-resolv-conf", "/etc/resolv.conf")
        file.write_text("nameserver 192.0.2.9\n")
        daemon.sdctl("network", "update", "red", "--dns-search-add", "corp.example")
        daemon.sdctl("network", "update", "red", "--dns-search-rm", "corp.example")
        daemon.sdctl("sandbox", "rm", "edited")
    assert file.read_text() == "nameserver 192.0.2.9\n"


def test_A8_91_a_link_out_of_the_root_fails_the_attach(
    daemon: Appliance, root: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text(THEIRS)
    (root / "etc/resolv.conf").unlink()
    (root / "etc/resolv.conf").symlink_to(victim)
    with guest(root) as pid:
        here = ("--pid", str(pid), "--write-resolv-conf", "/etc/resolv.conf")
        code, said = attach(daemon, "linked", *here)
    assert (code, "symbolic link" in said, "[SDD-DNS-FOREIGN]" in said) == (1, True, True)
    assert victim.read_text() == THEIRS
    assert "linked" not in daemon.sdctl("sandbox", "ls").stdout


def test_a_namespace_of_ours_is_no_guest(daemon: Appliance) -> None:
    """Two sandboxes in one namespace would fight for it for ever."""
    daemon.sdctl("network", "create", "back", "--subnet", "10.63.0.0/24")
    daemon.sandbox("mine", "--network", "back")
    name = daemon.name("mine")
    sleeper = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "300"])
    try:
        there = Path(f"/run/netns/{name}").stat().st_ino
        until(lambda: read(sleeper.pid) == there, PATIENCE_S, "inside")
        for _ in range(2):
            for here in (("--netns", f"/run/netns/{name}"), ("--pid", str(sleeper.pid))):
                code, said = attach(daemon, "second", *here)
                assert (code, "[SDD-SANDBOX-ADOPTED]" in said) == (1, True), said
                assert f"already sandbox {name}" in said
            daemon.kill()
            daemon.start()
    finally:
        sleeper.kill()
        sleeper.wait()
    assert "second" not in daemon.sdctl("sandbox", "ls").stdout
    daemon.sdctl("sandbox", "rm", name)
    daemon.sdctl("network", "rm", "back")


def read(pid: int) -> int:
    """The inode of the process's network namespace."""
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def test_the_daemons_own_namespace_is_no_guest(daemon: Appliance) -> None:
    ours = daemon.pids()
    assert len(ours) > 1, "sdd and its worker"
    for pid in ours:
        code, said = attach(daemon, "itself", "--pid", str(pid))
        assert (code, "[SDD-SANDBOX-HOST]" in said) == (1, True), said


def test_a_name_that_ip_netns_knows_is_refused_at_once_and_can_be_attached(
    daemon: Appliance,
) -> None:
    name = daemon.name("taken")
    daemon.on_host("ip", "netns", "add", name)
    try:
        before = daemon.json("status")[0]["Revision"]
        done = daemon.sdctl("sandbox", "create", name, "--network", "red", check=False)
        assert (done.returncode, "[SDD-NETNS-TAKEN]" in done.stderr) == (1, True)
        way = f"sandbox attach {name} --netns /var/run/netns/{name}"
        assert f"attach it instead: sdctl {way}" in done.stderr
        assert daemon.json("status")[0]["Revision"] == before
        daemon.sdctl(*way.split())
        daemon.sdctl("sandbox", "rm", name)
    finally:
        daemon.on_host("ip", "netns", "del", name)


def test_never_writes_nothing_outside_the_data_root(daemon: Appliance) -> None:
    space = daemon.name("bare")
    daemon.on_host("ip", "netns", "add", space)
    try:
        here = ("--netns", f"/run/netns/{space}", "--write-resolv-conf", "never")
        assert attach(daemon, "bare", *here) == (0, "")
        assert not Path(f"/etc/netns/{space}").exists()
        (box,) = daemon.json("sandbox", "inspect", "bare")
        assert "nameserver 127.0.0.11" in Path(box["ResolvConfPath"]).read_text()
        asked = daemon.sdctl("sandbox", "exec", "bare", "--", "cat", "/etc/resolv.conf")
        assert "nameserver 127.0.0.11" in asked.stdout
        daemon.sdctl("sandbox", "rm", "bare")
    finally:
        daemon.on_host("ip", "netns", "del", space)


def test_a_path_of_the_host_goes_with_a_namespace(daemon: Appliance, root: Path) -> None:
    space, file = daemon.name("host"), root / "etc/resolv.conf"
    daemon.on_host("ip", "netns", "add", space)
    try:
        here = ("--netns", f"/run/netns/{space}", "--write-resolv-conf", str(file))
        assert attach(daemon, "host", *here) == (0, "")
        assert "nameserver 127.0.0.11" in file.read_text()
        assert Path(f"/etc/netns/{space}/resolv.conf").is_symlink()
        daemon.sdctl("sandbox", "rm", "host")
        assert file.read_text() == THEIRS
        code, said = attach(daemon, "host", *here[:-1], "etc/resolv.conf")
        assert (code, "[SDD-SANDBOX-RESOLVCONF]" in said) == (1, True)
    finally:
        daemon.on_host("ip", "netns", "del", space)

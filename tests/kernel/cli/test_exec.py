"""`sandbox exec` in a real namespace: its network, its files, its exit code, nothing left behind."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.sdd.api.appliance import Appliance
from tests.unit.sdd.cli.typed import running

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[3]
NETNS = "t-api-exec"
Exec = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def netns() -> Iterator[str]:
    run("ip", "netns", "add", NETNS)
    try:
        run("ip", "-n", NETNS, "link", "add", "bridge77", "type", "bridge")
        yield f"/run/netns/{NETNS}"
    finally:
        run("ip", "netns", "del", NETNS)


@pytest.fixture
def execute(netns: str, tmp_path: Path) -> Iterator[Exec]:
    appliance = Appliance(tmp_path)
    with running(appliance, tmp_path / "s") as url:

        def sdctl(*argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
            code = "from sdd.cli import main; main()"
            return subprocess.run(
                [sys.executable, "-c", code, "-H", url, "sandbox", *argv],
                capture_output=True,
                text=True,
                check=False,
                input=text,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )

        made = sdctl("attach", "c", "--netns", netns)
        files = tmp_path / "sandboxes" / made.stdout.strip()
        files.mkdir(parents=True)
        (files / "resolv.conf").write_text("nameserver 127.0.0.11\n")
        (files / "hosts").write_text("10.0.0.7\tprinter\n")
        yield sdctl


def test_the_command_sees_the_sandboxs_network_and_files(execute: Exec) -> None:
    assert "bridge77" in execute("exec", "c", "--", "ip", "-br", "link").stdout
    assert execute("exec", "c", "--", "ls", "/sys/class/net").stdout.split() == ["bridge77", "lo"]
    assert execute("exec", "c", "cat", "/etc/resolv.conf").stdout == "nameserver 127.0.0.11\n"
    assert execute("exec", "c", "--", "getent", "hosts", "printer").stdout.split() == [
        "10.0.0.7",
        "printer",
    ]


def test_the_exit_code_and_the_streams_are_the_commands(execute: Exec) -> None:
    done = execute("exec", "c", "--", "sh", "-c", "cat; echo no >&2; exit 42", text="in")
    assert (done.returncode, done.stdout, done.stderr) == (42, "in", "no\n")
    assert execute("exec", "c", "--", "true", "--help").returncode == 0
    assert execute("exec", "c", "--", "no-such-command").returncode == 127
    assert execute("exec", "c", "--", "/etc/passwd").returncode == 126


def test_a_command_that_nobody_reads_ends_without_a_complaint(execute: Exec) -> None:
    done = execute("exec", "c", "--", "bash", "-c", "trap -p PIPE XFSZ; yes | head -1")
    assert (done.stdout, done.stderr) == ("y\n", "")


def test_the_hostname_is_the_sandboxs_and_the_hosts_stays(execute: Exec, netns: str) -> None:
    before = socket.gethostname()
    assert execute("exec", "c", "--", "hostname").stdout == "c\n"
    execute("rm", "c")
    execute("attach", "d", "--netns", netns, "--hostname", "box.lab")
    assert execute("exec", "d", "--", "uname", "-n").stdout == "box.lab\n"
    execute("rm", "d")
    long = ".".join(["label" * 5] * 4)
    execute("attach", "e", "--netns", netns, "--hostname", long)
    assert execute("exec", "e", "--", "hostname").stdout == "label" * 5 + "\n"
    assert socket.gethostname() == before


def test_its_mounts_do_not_reach_the_host(execute: Exec) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    hosts = Path("/etc/hosts").read_text()
    assert execute("exec", "c", "--", "true").returncode == 0
    assert Path("/proc/self/mountinfo").read_text() == before
    assert Path("/etc/hosts").read_text() == hosts


def test_without_privilege_it_says_so(execute: Exec) -> None:
    script = "import os; os.setgid(65534); os.setuid(65534)\n"
    script += "from sdd.cli import inside\nfrom sdd import errors\n"
    script += f"try: inside.run('c', '/run/netns/{NETNS}', 'c', {{}}, ['true'])\n"
    script += "except errors.Denied as error: print(error.sentence, error.exit_code)\n"
    lines = "import sdd.cli.inside, sdd.linux.libc\n" + script
    done = subprocess.run(
        [sys.executable, "-c", lines],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == 'cannot enter sandbox "c": permission denied 77\n', done.stderr
    assert execute("exec", "c", "--", "true").returncode == 0

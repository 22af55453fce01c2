"""What somebody put in the place of a file that the daemon reads keeps it from nothing else."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance, until

pytestmark = pytest.mark.skipif(
    "SDD_FURNISHED" not in os.environ, reason="changes /etc: only in tests/lab/room"
)
RESOLV_CONF = Path("/etc/resolv.conf")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "daemon.json"
    found.write_text("{}")
    return found


@pytest.fixture
def daemon(file: Path) -> Iterator[Appliance]:
    before = RESOLV_CONF.read_text()
    try:
        with appliance("odd", "--config", str(file)) as one:
            yield one
    finally:
        RESOLV_CONF.unlink()
        RESOLV_CONF.write_text(before)


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def reloads(one: Appliance) -> int:
    assert one.process is not None
    before = one.log().count("msg=config.")
    one.process.send_signal(signal.SIGHUP)
    until(lambda: one.log().count("msg=config.") > before, 60, "the reload is logged")
    return before


def test_a_pipe_in_the_place_of_a_file_hangs_nobody(daemon: Appliance, file: Path) -> None:
    put_pipe(RESOLV_CONF)
    reloads(daemon)  # reads it at once
    daemon.sdctl("--timeout", "30s", "status")
    until(lambda: "dns.settings_changed" in daemon.log(), 60, "the host has no servers any more")
    RESOLV_CONF.unlink()
    RESOLV_CONF.write_text("nameserver 192.0.2.77\n")
    until(lambda: "dns.host_changed" in daemon.log(), 60, "it has one again")
    put_pipe(file)
    reloads(daemon)
    assert "no plain file" in daemon.log()
    daemon.sdctl("--timeout", "30s", "status")
    daemon.kill(signal.SIGTERM)
    assert daemon.process is not None
    assert daemon.process.returncode == 0

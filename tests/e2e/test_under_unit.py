"""A daemon under what the unit of systemd takes away does everything that it does without.

In seconds and on any kernel; the same with a real systemd is in tests/vm/test_systemd.py.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import under_unit
from tests.e2e.appliance import Appliance, until
from tests.guest import guest

BEHIND = under_unit.words("sdd.service")
OFTEN = ("--health-interval", "200ms", "--health-timeout")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    one = Appliance("unit")
    try:
        one.start(behind=BEHIND)
        one.sdctl("network", "create", "front", "--subnet", "10.84.0.0/24")
        one.sandbox("web", "--network", "front")
        yield one
    finally:
        one.close()


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("asked", ("exec:ip -o -4 address | grep $SDD_ADDRESS", *OFTEN, "10s")),
        ("sink", ("udp:7002", *OFTEN, "200ms")),
    ],
)
def test_checks_that_take_more_than_a_socket_pass(
    daemon: Appliance, name: str, check: tuple[str, ...]
) -> None:
    daemon.program("web", "socat", "-u", "UDP4-RECV:7002", "OPEN:/dev/null")
    daemon.sdctl("service", "create", name, "--network", "front", "--health", *check)
    daemon.sdctl("service", "join", name, daemon.name("web"))
    until(
        lambda: daemon.json("service", "ps", name)[0]["State"] == "up",
        60,
        lambda: daemon.sdctl("service", "ps", name).stdout,
    )


def test_a_container_has_its_resolv_conf_written(daemon: Appliance, tmp_path: Path) -> None:
    file = tmp_path / "root/etc/resolv.conf"
    file.parent.mkdir(parents=True)
    file.write_text("nameserver 192.0.2.1\n")
    with guest(tmp_path / "root") as pid:
        here = ("--pid", str(pid), "--write-resolv-conf", "/etc/resolv.conf")
        daemon.sdctl("sandbox", "attach", daemon.name("box"), "--network", "front", *here)
        assert "nameserver 127.0.0.11\n" in file.read_text()
        daemon.sdctl("sandbox", "rm", daemon.name("box"))


def test_started_again_it_has_the_sockets_of_the_worker(daemon: Appliance) -> None:
    before = len(daemon.log())
    daemon.kill()
    daemon.start(behind=BEHIND)
    assert "msg=dns.sockets_reclaimed sandboxes=1" in daemon.log()[before:]
    assert "dns.sockets_refused" not in daemon.log()[before:]


def test_without_the_right_to_them_it_says_so_once(daemon: Appliance) -> None:
    without = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all")
    daemon.kill()
    before = len(daemon.log())
    try:
        daemon.start(behind=without)
        assert daemon.log()[before:].count("msg=dns.sockets_refused") == 1
    finally:
        daemon.kill()
        daemon.start(behind=BEHIND)

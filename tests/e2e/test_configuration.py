"""daemon.json, flags, reload, systemd's protocol: the daemon as its administrator meets it."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import BIN, PATIENCE_S, Appliance, run, until


def sdd(*argv: str) -> subprocess.CompletedProcess[str]:
    return run(str(BIN / "sdd"), *argv, check=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "daemon.json"


@pytest.mark.parametrize(
    ("text", "flags", "words"),
    [
        ('{"log-levle": "info"}', (), ('"log-levle"', '"log-level"', "[SDD-CONFIG-KEY]")),
        ('{"mtu": "big"}', (), ('"mtu"', "[SDD-CONFIG-VALUE]")),
        ('{"log-level": "info"}', ("--log-level", "debug"), ('"log-level"', "[SDD-CONFIG-TWICE]")),
        ("{", (), ("line 1", "[SDD-CONFIG-JSON]")),
        ('{"mtu": true}', (), ('"mtu"', "not true", "[SDD-CONFIG-VALUE]")),
        ('{"dns-search": ["a b"]}', (), ('"dns-search"', "at [0]", "'a b'", "host name")),
        ('{"dns-opts": ["n dots"]}', (), ('"dns-opts"', "at [0]", "resolv.conf")),
        ('{"hosts": []}', (), ('"hosts"', "nobody could talk")),
        ('{"labels": ["rack"]}', (), ('"labels"', "KEY=VALUE", '"rack" at [0]')),
        ('{"advertise-addr": {}}', (), ('"advertise-addr"', "not {}")),
        ('{"debug": true}', ("--log-level", "warn"), ('"debug"', '"log-level"', "command line")),
        ('{"debug": true, "log-level": "info"}', (), ('"debug"', '"log-level"')),
        (
            '{"default-address-pools": [{"base": "10.0.0.0/8", "size": 32}]}',
            (),
            ('"default-address-pools"', "at [0]", "smallest is a /30"),
        ),
        (
            '{"default-address-pools": [{"base": "127.0.0.0/8", "size": 24}]}',
            (),
            ("loopback", "[SDD-CONFIG-VALUE]"),
        ),
    ],
)
def test_a_wrong_setting_is_a_start_error_that_names_it(
    file: Path, text: str, flags: tuple[str, ...], words: tuple[str, ...]
) -> None:
    file.write_text(text)
    for extra in ((), ("--validate",)):
        done = sdd("--config", str(file), *flags, *extra)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        for word in words:
            assert word in done.stderr


def test_validate_says_that_a_good_file_is_good(file: Path) -> None:
    file.write_text(
        '{"debug": true, "default-address-pools": [{"base": "10.9.0.0/16", "size": 24}]}'
    )
    done = sdd("--config", str(file), "--validate")
    assert (done.returncode, done.stderr) == (0, "")
    assert sdd("--config", str(file.parent / "none.json"), "--validate").returncode == 1
    assert sdd("--version").stdout.startswith("sdd ")
    assert sdd("--bogus").returncode == 2


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[tuple[Appliance, Path, socket.socket]]:
    """A daemon with a file, a service manager that listens, and its own Prometheus port."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(PATIENCE_S)
    file = tmp_path / "daemon.json"
    file.write_text(
        json.dumps(
            {
                "log-format": "json",
                "default-address-pools": [{"base": "10.77.0.0/16", "size": 26}],
                "metrics-addr": "127.0.0.1:9777",
                "node-name": "n7",
                "lb-backend": "nftables",
                "labels": ["rack=4"],
            }
        )
    )
    one = Appliance("config", "--config", str(file))
    os.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    try:
        one.start()
        del os.environ["NOTIFY_SOCKET"]
        yield one, file, manager
    finally:
        os.environ.pop("NOTIFY_SOCKET", None)
        one.close()
        manager.close()


def heard(manager: socket.socket) -> str:
    return manager.recv(4096).decode()


def test_settings_hold_and_a_reload_takes_over_what_it_can(
    configured: tuple[Appliance, Path, socket.socket],
) -> None:
    daemon, file, manager = configured
    assert heard(manager).startswith("READY=1\n")
    (status,) = daemon.json("status")
    assert (status["Node"], status["Balancer"]) == ("n7", "nftables")
    assert status["Labels"] == ["rack=4"]
    daemon.sdctl("network", "create", "pooled")
    (network,) = daemon.json("network", "inspect", "pooled")
    assert network["IPAM"]["Config"][0]["Subnet"].startswith("10.77.")
    assert network["IPAM"]["Config"][0]["Subnet"].endswith("/26")
    page = daemon.on_host("curl", "-s", "http://127.0.0.1:9777/metrics").stdout
    assert "sdd_build_info" in page
    for line in daemon.log().splitlines():
        if line.startswith("{"):
            assert json.loads(line)["msg"]
    settings = json.loads(file.read_text())
    new = settings | {"debug": True, "mtu": 1400, "labels": ["rack=5", "row=b"]}
    _reload(daemon, manager, file, json.dumps(new))
    until(lambda: '"config.reloaded"' in daemon.log(), PATIENCE_S, "the reload is logged")
    (line,) = [each for each in daemon.log().splitlines() if "config.reloaded" in each]
    assert json.loads(line)["restart_needed_for"] == "mtu"
    assert json.loads(line)["changed"].split(",") == ["debug", "log-level", "labels"]
    assert re.search(r"^labels +rack=5, row=b$", daemon.sdctl("status").stdout, re.MULTILINE)
    _reload(daemon, manager, file, json.dumps(settings | {"labels": ["rack"]}))
    until(lambda: "config.refused" in daemon.log(), PATIENCE_S, "the refusal is logged")
    (line,) = [each for each in daemon.log().splitlines() if "config.refused" in each]
    assert '"labels" must be a list of KEY=VALUE, not "rack" at [0]' in json.loads(line)["why"]
    assert str(file) in json.loads(line)["why"]
    assert daemon.json("status")[0]["Labels"] == ["rack=5", "row=b"]
    assert daemon.json("status")[0]["State"] == "ready"
    assert daemon.sdctl("events", "-q", "-f", "event=reload", "-o", "jsonl").stdout.count("\n") == 1
    daemon.kill(signal.SIGTERM)
    assert heard(manager).startswith("STOPPING=1\n")
    assert daemon.process is not None
    assert daemon.process.returncode == 0


def _reload(daemon: Appliance, manager: socket.socket, file: Path, text: str) -> None:
    file.write_text(text)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    assert heard(manager).startswith("RELOADING=1\n")
    assert heard(manager).startswith("READY=1\n")


def test_an_address_that_cannot_be_served_is_one_sentence_at_start() -> None:
    one = Appliance("unserved", "--metrics-addr", "198.51.100.9:9100")
    try:
        with pytest.raises(AssertionError, match="sdd ended with 1"):
            one.start()
        assert "sdd: cannot serve metrics at 198.51.100.9:9100" in one.log()
        assert "Traceback" not in one.log()
    finally:
        one.close()


class Closed(Appliance):
    """Started by somebody who closed the standard descriptors."""

    def command(self) -> list[str]:
        return ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *super().command()]


def test_standard_descriptors_that_were_closed_become_none_of_ours() -> None:
    one = Closed("closed")
    try:
        one.start()
        assert one.process is not None
        folder = Path(f"/proc/{one.process.pid}/fd")
        assert {str((folder / str(number)).readlink()) for number in range(3)} == {"/dev/null"}
        one.sandbox_plain("web")
    finally:
        one.close()


class Hurried(Appliance):
    """Gets a SIGHUP while it reads its settings: it cannot go on before, for they are in a pipe."""

    def command(self) -> list[str]:
        os.mkfifo(self.root / "daemon.json")
        return [*super().command(), "--config", f"{self.root}/daemon.json"]

    def hears_it(self) -> bool:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return bool(int(status.partition("SigCgt:\t")[2].partition("\n")[0], 16) & 1)

    def _ready(self) -> bool:
        assert self.process is not None
        settings = self.root / "daemon.json"
        if settings.exists():
            until(self.hears_it, PATIENCE_S, "it hears it")
            self.process.send_signal(signal.SIGHUP)
            settings.write_text("{}")
            settings.unlink()
        return super()._ready()


def test_a_reload_asked_for_before_the_start_is_over_ends_nothing_and_is_made_then() -> None:
    one = Hurried("hurried")
    try:
        one.start()
        assert not (one.root / "daemon.json").exists()
        one.sandbox_plain("web")
        until(lambda: "config.re" in one.log(), PATIENCE_S, "it reads them again: they are gone")
    finally:
        one.close()


def test_a_kernel_without_ipvs_is_a_start_error_when_it_is_demanded(file: Path) -> None:
    file.write_text('{"lb-backend": "ipvs"}')
    one = Appliance("noipvs", "--config", str(file))
    try:
        if (
            Path("/proc/net/ip_vs").exists()
            or not run("modprobe", "-nq", "ip_vs", check=False).returncode
        ):
            one.start()  # a kernel that has it takes it
            (status,) = one.json("status")
            assert status["Balancer"] == "ipvs"
            return
        command = ["nsenter", f"--net=/run/netns/{one.host}", *one.command()]
        done = run(*command, check=False)
        assert done.returncode == 1
        first, hint = done.stderr.strip().splitlines()[-2:]
        assert first == "sdd: lb-backend is 'ipvs', but the kernel has no IPVS [SDD-LB-NOIPVS]"
        assert "ip_vs" in hint
        assert "nftables" in hint
        assert not (one.root / "exec" / "sdd.sock").exists()
    finally:
        one.close()

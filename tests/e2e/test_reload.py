"""Settings of names that change under a running daemon, as its administrator and programs see it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance, until
from tests.e2e.test_restart import worker_pids

UPSTREAM = """
import socket, sys
import dns.message, dns.rrset
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
while True:
    data, peer = s.recvfrom(4096)
    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query)
    name = query.question[0].name
    if query.question[0].rdtype == 1:
        reply.answer.append(dns.rrset.from_text(name, 60, 'IN', 'A', sys.argv[2]))
    s.sendto(reply.to_wire(), peer)
"""
OLD, NEW = "127.0.0.71", "127.0.0.72"
BEFORE = {"dns": [OLD], "dns-ttl": 7, "log-format": "json"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "daemon.json"
    found.write_text(json.dumps(BEFORE))
    return found


@pytest.fixture
def daemon(file: Path) -> Iterator[Appliance]:
    with appliance("reload", "--config", str(file)) as one:
        for address, answer in ((OLD, "192.0.2.1"), (NEW, "192.0.2.2")):
            one.served.append(_upstream(one, address, answer))
        one.sdctl("network", "create", "lab", "--subnet", "10.67.0.0/24")
        one.sandbox("web", "--network", "lab,ip=10.67.0.80,alias=only.shop")
        one.sandbox("c", "--network", "lab")
        yield one


def _upstream(one: Appliance, address: str, answer: str) -> subprocess.Popen[bytes]:
    program = (sys.executable, "-c", UPSTREAM, address, answer)
    process = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{one.host}", *program],
        env=os.environ | {"SDD_E2E": str(one.root)},
    )
    until(lambda: f"{address}:53 " in one.on_host("ss", "-Hlnu").stdout, 60, "it listens")
    return process


def _reload(one: Appliance, file: Path, settings: dict[str, object]) -> dict[str, str]:
    """What the log says of it."""
    before = one.log().count('"config.')
    file.write_text(json.dumps(settings))
    assert one.process is not None
    one.process.send_signal(signal.SIGHUP)
    told: dict[str, str] = {}

    def is_told() -> bool:
        lines = [line for line in one.log().splitlines(keepends=True) if '"config.' in line]
        if len(lines) > before and lines[-1].endswith("\n"):
            told.update(json.loads(lines[-1]))
        return bool(told)

    until(is_told, 60, "the reload is logged")
    return told


def _asked(one: Appliance, *args: str) -> list[str]:
    return one.inside("c", "dig", "+tries=1", "+time=20", "@127.0.0.11", *args).stdout.split()


def _ttl(one: Appliance) -> str:
    return _asked(one, "+noall", "+answer", "web.lab")[1]


def test_settings_of_names_hold_after_a_reload_without_a_restart(
    daemon: Appliance, file: Path
) -> None:
    assert _ttl(daemon) == "7"
    assert _asked(daemon, "+short", "example.org") == ["192.0.2.1"]
    before = daemon.process, worker_pids(daemon)
    new = BEFORE | {
        "dns": [NEW],
        "dns-ttl": 3,
        "dns-search": ["shop"],
        "dns-opts": ["ndots:2", "timeout:1"],
        "dns-rate-limit": 0,
        "dns-forward-zones": ["corp.local"],
        "mtu": 1400,
    }
    told = _reload(daemon, file, new)
    assert told["changed"].split(",") == [
        *("dns", "dns-search", "dns-opts", "dns-ttl", "dns-rate-limit", "dns-forward-zones"),
    ]
    assert told["restart_needed_for"] == "mtu"
    until(lambda: _ttl(daemon) == "3", 60, "answers have the new TTL")
    assert _asked(daemon, "+short", "example.org") == ["192.0.2.2"]
    assert _asked(daemon, "+short", "x.corp.local") == ["192.0.2.2"]

    def conf() -> str:
        return daemon.inside("c", "cat", "/etc/resolv.conf").stdout

    until(lambda: "search shop\n" in conf(), 60, conf)
    assert "options timeout:1 ndots:2\n" in conf()
    assert daemon.inside("c", "getent", "ahostsv4", "only").stdout.startswith("10.67.0.80")
    told_of = ("events", "-q", "-f", "event=reload", "-o", "jsonl")
    until(lambda: daemon.sdctl(*told_of).stdout, 60, "an event tells of it")
    (event,) = daemon.sdctl(*told_of).stdout.splitlines()
    assert "dns-ttl" in event
    assert "restart_needed_for" in event
    # Neither sdd nor its worker began anew.
    assert daemon.process is not None
    assert daemon.process.poll() is None
    assert (daemon.process, worker_pids(daemon)) == before


def test_a_reload_with_what_cannot_be_used_changes_nothing(daemon: Appliance, file: Path) -> None:
    told = _reload(daemon, file, BEFORE | {"dns-ttl": 3, "dns-ca": "/nowhere/ca.pem"})
    assert (told["msg"], told["code"]) == ("config.refused", "SDD-DNS-CA")
    assert _ttl(daemon) == "7"


def test_the_way_to_port_53_changes_at_a_reload(daemon: Appliance, file: Path) -> None:
    assert "sdd-dns" in daemon.inside("c", "nft", "list", "tables").stdout
    assert _reload(daemon, file, BEFORE | {"dns-bind": "direct"})["changed"] == "dns-bind"
    until(lambda: "127.0.0.11:53 " in daemon.inside("c", "ss", "-Hlnu").stdout, 60, "direct")
    until(lambda: not daemon.inside("c", "nft", "list", "tables").stdout, 60, "no rules are left")
    assert _ttl(daemon) == "7"
    assert _reload(daemon, file, BEFORE)["restart_needed_for"] == ""
    until(lambda: "127.0.0.11:53 " not in daemon.inside("c", "ss", "-Hlnu").stdout, 60, "by rules")
    until(lambda: _asked(daemon, "+short", "web.lab") == ["10.67.0.80"], 60, "names are found")
    until(lambda: daemon.sdctl("verify", check=False).returncode == 0, 60, "all is well")

"""A UDP program that hangs, a member that is off the wire, and a death that no bridge carries."""

import os
import re
import signal
import sys

import pytest

from tests.e2e.appliance import Appliance, until
from tests.e2e.flow import flow

MEMBERS = ("one", "two", "three")
OFTEN = ("--health-interval", "300ms", "--health-fast", "50ms", "--health-timeout", "2s")
ANSWERING = """
import socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.bind(("0.0.0.0", 7003))
while True:
    _, peer = link.recvfrom(2048)
    link.sendto(sys.argv[1].encode(), peer)
"""
DEAF = """table arp deaf {
  chain in { type filter hook input priority 0; policy drop; }
  chain out { type filter hook output priority 0; policy drop; }
}"""


@pytest.fixture(scope="module", autouse=True)
def town(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "front")
    for name in MEMBERS:
        daemon.sandbox(name, "--network", "front")


def states(daemon: Appliance, service: str) -> dict[str, str]:
    rows = daemon.json("service", "ps", service)
    return {row["Sandbox"].rsplit("-", 1)[1]: row["State"] for row in rows}


def listens(daemon: Appliance, sandbox: str, port: int) -> None:
    def is_there() -> bool:
        return f":{port} " in daemon.inside(sandbox, "ss", "-Hlun").stdout

    until(is_there, 60, f"{sandbox} has {port}")


def created(daemon: Appliance, service: str, members: tuple[str, ...], *options: str) -> None:
    daemon.sdctl("service", "create", service, *options)
    for each in members:
        daemon.sdctl("service", "join", service, daemon.name(each))
    until(lambda: set(states(daemon, service).values()) == {"up"}, 60, "all are up")


def test_a_program_that_hangs_is_down_if_it_answered_before(daemon: Appliance) -> None:
    for name in MEMBERS:
        daemon.program(name, "socat", "UDP4-RECVFROM:7001,fork", "PIPE")
        listens(daemon, name, 7001)
    check = ("--health", "udp:7001", "--health-send", "hello", *OFTEN)
    created(daemon, "echo", MEMBERS, "--network", "front", *check)
    (hung,) = pids(daemon, "two", 7001)
    os.kill(hung, signal.SIGSTOP)
    try:
        until(lambda: states(daemon, "echo")["two"] == "down", 60, "it hangs")
        (row,) = [each for each in daemon.json("service", "ps", "echo") if each["State"] == "down"]
        assert row["Reason"] == "no answer within 2 s, though it answered before"
        # It hangs also for the next daemon: silence does not bring it up.
        daemon.kill(signal.SIGTERM)
        daemon.start()
        until(lambda: failures(daemon, "echo") >= 4, 60, "its silence is a failure")
        assert states(daemon, "echo") == {"one": "up", "two": "down", "three": "up"}
    finally:
        os.kill(hung, signal.SIGCONT)
    until(lambda: states(daemon, "echo")["two"] == "up", 60, "it answers again")


def failures(daemon: Appliance, service: str) -> int:
    """Checks that failed since the daemon started."""
    socket = daemon.url.removeprefix("unix://")
    page = daemon.on_host("curl", "-s", "--unix-socket", socket, "http://sdd/metrics").stdout
    found = re.search(
        rf'^sdd_lb_healthcheck_failures_total{{service="{service}"}} (\d+)', page, re.MULTILINE
    )
    return int(found[1]) if found else 0


def pids(daemon: Appliance, sandbox: str, port: int) -> set[int]:
    """Those that have a socket at the port."""
    said = daemon.inside(sandbox, "ss", "-Hlunp", "sport", "=", str(port)).stdout
    return {int(each) for each in re.findall(r"pid=(\d+)", said)}


def test_a_member_that_nobody_reaches_on_the_wire_is_down_though_it_is_silent_anyway(
    daemon: Appliance,
) -> None:
    for name in MEMBERS:
        daemon.program(name, "socat", "-u", "UDP4-RECV:7002", "OPEN:/dev/null")
        listens(daemon, name, 7002)
    created(daemon, "sink", MEMBERS, "--network", "front", "--health", "udp:7002", *OFTEN)
    daemon.inside("three", "nft", DEAF)
    try:
        until(lambda: states(daemon, "sink")["three"] == "down", 60, "it is off the wire")
        (row,) = [each for each in daemon.json("service", "ps", "sink") if each["State"] == "down"]
        assert row["Reason"] == "no answer within 2 s, and nobody answers for its address"
    finally:
        daemon.inside("three", "nft", "delete", "table", "arp", "deaf")
    until(lambda: set(states(daemon, "sink").values()) == {"up"}, 60, "it is there again")


@pytest.fixture
def lan(daemon: Appliance) -> None:
    """A network of which the host hears nothing, with so many sandboxes that counters are late."""
    daemon.on_host("ip", "link", "add", "up0", "type", "veth", "peer", "name", "far0")
    for each in ("up0", "far0"):
        daemon.on_host("ip", "link", "set", each, "up")
    subnet = ("--subnet", "10.99.1.0/24", "-o", "parent=up0")
    daemon.sdctl("network", "create", "lan", "-d", "macvlan", *subnet)
    for number in range(30):
        daemon.sandbox(f"lan{number}", "--network", "lan")


@pytest.mark.usefixtures("lan")
def test_a_death_that_no_bridge_carries_is_heard_where_it_is(daemon: Appliance) -> None:
    """By a flow that never pauses; checks are too seldom to tell."""
    members = tuple(f"lan{number}" for number in range(3))
    for each in members:
        daemon.program(each, sys.executable, "-c", ANSWERING, each)
        listens(daemon, each, 7003)
    often = ("--health-interval", "1h", "--health-send", "hello", "--health-timeout", "30s")
    created(daemon, "chat", members, "--network", "lan", "--health", "udp:7003", *often)
    (made,) = daemon.json("service", "inspect", "chat")
    with flow(daemon.name("lan9"), made["VIPs"][0], 7003, b"x") as asking:
        first = asking.heard().decode()
        for pid in pids(daemon, first, 7003):
            os.kill(pid, signal.SIGKILL)
        begun = daemon.own_s()
        while asking.heard().decode() == first:
            assert daemon.own_s() - begun < 1, f"{first} answers still"
        assert daemon.own_s() - begun < 1

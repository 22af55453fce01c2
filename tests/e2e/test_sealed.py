"""CVE-2024-29018: a sandbox on internal networks only never uses the host's way out, seen on the wire."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, until

HOST_SERVER = "127.0.0.53"  # where systemd-resolved's stub listens: only the host can reach it
SERVER = """
import socket
import dns.message, dns.rrset
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.bind(("127.0.0.53", 53))
print("up", flush=True)
while True:
    data, peer = link.recvfrom(4096)
    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query, recursion_available=True)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 1, "IN", "A", "192.0.2.88"))
    link.sendto(reply.to_wire(), peer)
"""


@contextmanager
def started(*command: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Appliance]:
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"dns": [HOST_SERVER]}))
    one = Appliance("seal", "--config", str(file))
    enter = ("nsenter", f"--net=/run/netns/{one.host}")
    with started(*enter, sys.executable, "-c", SERVER) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        one.start()
        yield one
        one.close()


def answers(daemon: Appliance, name: str) -> bool:
    asked = ("dig", "+tries=1", "+time=20", name)
    return "192.0.2.88" in daemon.inside("box", *asked, check=False).stdout


def test_A8_22_internal_only_never_asks_from_the_host(daemon: Appliance, tmp_path: Path) -> None:
    daemon.sdctl("network", "create", "--internal", "sealed")
    daemon.sdctl("network", "create", "open")
    daemon.sandbox("box", "--network", "sealed")
    name = daemon.name("box")
    with watched(daemon, tmp_path) as capture:
        for number in range(3):
            assert not answers(daemon, f"sealed{number}.example.org")
        daemon.sdctl("network", "connect", "open", name)
        until(lambda: answers(daemon, "open1.example.org"), 60, "an answer")
        daemon.sdctl("network", "disconnect", "open", name)
        for number in range(3):
            assert not answers(daemon, f"after{number}.example.org")
        until(lambda: "open1.example.org" in on_the_wire(capture), 60, "the packets")
    seen = on_the_wire(capture)
    assert "open1.example.org" in seen
    assert "sealed" not in seen
    assert "after" not in seen


@contextmanager
def watched(daemon: Appliance, folder: Path) -> Iterator[Path]:
    """The file with all DNS packets that pass on the host."""
    enter = ("nsenter", f"--net=/run/netns/{daemon.host}")
    capture = folder / "packets"
    dump = (*enter, "tcpdump", "-i", "any", "-n", "-l", "-U", "port", "53")
    with capture.open("w") as out:
        watching = subprocess.Popen([*dump], stdout=out, stderr=subprocess.DEVNULL)
        try:
            until(lambda: asked_on_the_wire(daemon, capture), 60, "tcpdump")
            yield capture
        finally:
            watching.terminate()
            watching.wait(60)


def on_the_wire(capture: Path) -> str:
    """All that passed; our questions have letters of random case."""
    return capture.read_text().lower()


def asked_on_the_wire(daemon: Appliance, capture: Path) -> bool:
    """Whether a question asked on the host is captured: from then on silence means something."""
    asked = ("dig", f"@{HOST_SERVER}", "+tries=1", "+time=5", "ready.example.org")
    daemon.on_host(*asked, check=False)
    return "ready.example.org" in on_the_wire(capture)


ZONE_SERVER = SERVER.replace("127.0.0.53", "127.0.0.8").replace("192.0.2.88", "192.0.2.8")


def test_A8_23_a_forward_zone_of_an_internal_network_is_asked_from_inside_only(
    daemon: Appliance,
) -> None:
    daemon.sdctl(
        *("network", "create", "sealed", "--internal", "--dns-forward-zone", "Corp.local=127.0.0.8")
    )
    box = daemon.sandbox("box", "--network", "sealed")
    enter = ("nsenter", f"--net=/run/netns/{box}")

    def heard(name: str) -> str:
        return daemon.inside("box", "dig", "+tries=1", "+time=20", name, check=False).stdout

    with started(*enter, sys.executable, "-c", ZONE_SERVER) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        until(lambda: "192.0.2.8\n" in heard("www.corp.local"), 60, "it is answered")
        assert "NXDOMAIN" in heard("www.example.org")  # the host is asked nothing
        traced = daemon.sdctl("dns", "trace", "www.corp.local", "--from", box).stdout
        assert "in a forward zone of a network" in traced
        assert "forward zone: corp.local. of network sealed" in traced
        assert "127.0.0.8 from inside the sandbox" in traced
        daemon.sdctl(
            *("network", "update", "sealed", "--dns-forward-zone-add", "lab.test=127.0.0.8"),
            *("--dns-forward-zone-rm", "corp.local=127.0.0.8"),
        )
        until(lambda: "192.0.2.8\n" in heard("www.lab.test"), 60, "it is answered")
        assert "NXDOMAIN" in heard("www.corp.local")  # a special use again
    shown = json.loads(daemon.sdctl("network", "inspect", "sealed").stdout)
    assert shown[0]["Dns"]["ForwardZones"] == ["lab.test=127.0.0.8"]


LEADING_SERVER = ZONE_SERVER.replace(
    '1, "IN", "A", "192.0.2.8"',
    '60, "IN", "CNAME", "Out-of-" + query.question[0].name.to_text()[:4] + ".example.org."',
)


def test_A8_22_an_alias_out_of_a_forward_zone_leaves_an_internal_sandbox_by_no_other_way(
    daemon: Appliance, tmp_path: Path
) -> None:
    """The zone's server gives the alias alone; its end is the host's servers' to tell."""
    daemon.sdctl(
        *("network", "create", "sealed", "--internal", "--dns-forward-zone", "corp.local=127.0.0.8")
    )
    daemon.sdctl("network", "create", "open")
    box = daemon.sandbox("box", "--network", "sealed")
    (row,) = daemon.json("dns", "upstream", "ls")
    told = (row["Address"], row["From"], row["Zones"], row["State"])
    assert told == ("127.0.0.8", box, ["corp.local"], "new")
    enter = ("nsenter", f"--net=/run/netns/{box}")

    def heard(name: str) -> str:
        return daemon.inside("box", "dig", "+tries=1", "+time=20", name, check=False).stdout

    with (
        started(*enter, sys.executable, "-c", LEADING_SERVER) as server,
        watched(daemon, tmp_path) as capture,
    ):
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        for name in ("app1", "app2"):
            assert "NXDOMAIN" in heard(f"{name}.corp.local")
        daemon.sdctl("network", "connect", "open", box)
        until(lambda: "192.0.2.88\n" in heard("app3.corp.local"), 60, "it is answered")
        source = daemon.sdctl("dns", "query", "app3.corp.local", "--from", box).stderr
        traced = daemon.sdctl("dns", "trace", "app3.corp.local", "--from", box).stdout
        assert "out-of-app3.example.org. is asked of other servers" in traced
        rows = {each["Address"]: each for each in daemon.json("dns", "upstream", "ls")}
        assert rows["127.0.0.53"]["Zones"] == ["."]
        assert rows["127.0.0.8"]["State"] == "up"
        daemon.sdctl("network", "disconnect", "open", box)
        for name in ("app4", "app5"):
            assert "NXDOMAIN" in heard(f"{name}.corp.local")
        until(lambda: "out-of-app3" in on_the_wire(capture), 60, "the packets")
    seen = on_the_wire(capture)
    assert not [name for name in ("app1", "app2", "app4", "app5") if f"out-of-{name}" in seen]
    assert "cache" in source or "upstream 127.0.0.53" in source

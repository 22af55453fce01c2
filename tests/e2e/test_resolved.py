"""A host whose resolver is systemd-resolved, the real one: its stub, its servers, their changes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, run, until

ROOT = Path(__file__).parents[2]
CONF, FOLDER = Path("/etc/systemd/resolved.conf"), Path("/run/systemd/resolve")
RESOLV_CONF = Path("/etc/resolv.conf")
ACCOUNT = "systemd-resolve:x:193:193::/:/usr/sbin/nologin\n"
SERVERS = {"192.0.2.53": "203.0.113.1", "192.0.2.54": "203.0.113.2"}  # what each says of the name
NAME = "www.example.org"
SERVER = """
import socketserver, sys
import dns.message, dns.rrset

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        data, link = self.request
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query, recursion_available=True)
        if query.question[0].rdtype == 1:
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 1, 1, 1, sys.argv[2]))
        link.sendto(reply.to_wire(), self.client_address)

socketserver.UDPServer((sys.argv[1], 53), Handler).serve_forever()
"""
pytestmark = pytest.mark.skipif(
    "SDD_FURNISHED" not in os.environ, reason="changes /etc and /run: only in tests/lab/room"
)


@contextmanager
def process(one: Appliance, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program where the daemon is."""
    with subprocess.Popen(["nsenter", f"--net=/run/netns/{one.host}", *command]) as started:
        try:
            yield started
        finally:
            started.send_signal(signal.SIGKILL)


def configure(server: str) -> None:
    settings = f"DNS={server}\nDomains=corp.example\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\nCache=no"
    CONF.parent.mkdir(exist_ok=True)
    CONF.write_text(f"[Resolve]\n{settings}\n")


@contextmanager
def resolved(one: Appliance, server: str) -> Iterator[None]:
    """systemd-resolved asking `server`, listening at its stub address."""
    configure(server)
    folder = subprocess.run(
        [ROOT / "tools" / "unpacked", "resolved"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with process(one, f"{folder}/lib/systemd/systemd-resolved"):
        until(lambda: "127.0.0.53" in one.on_host("ss", "-Hlun").stdout, 60, "the stub listens")
        until(lambda: server in written(), 60, "its server is written")
        yield


def written() -> str:
    """Its list of servers, which it writes some time after it listens."""
    path = FOLDER / "resolv.conf"
    return path.read_text() if path.exists() else ""


@pytest.fixture
def host() -> Iterator[Appliance]:
    """A daemon's host on a link with both servers, not started; /etc is the room's own."""
    kept = {path: path.read_text() for path in map(Path, ("/etc/passwd", "/etc/group"))}
    before = RESOLV_CONF.read_text()
    for path, text in kept.items():
        path.write_text(text + ACCOUNT)
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.chown(FOLDER, 193, 193)
    one = Appliance("resolved")
    try:
        run("ip", "-n", one.host, "link", "add", "up0", "type", "bridge")
        for address in SERVERS:
            run("ip", "-n", one.host, "addr", "add", f"{address}/24", "dev", "up0")
        run("ip", "-n", one.host, "link", "set", "up0", "up")
        # resolved takes itself for offline, and asks nobody, without a default route.
        run("ip", "-n", one.host, "route", "add", "default", "via", "192.0.2.1")
        RESOLV_CONF.unlink()
        RESOLV_CONF.symlink_to(FOLDER / "stub-resolv.conf")
        with ExitStack() as servers:
            for address, answer in SERVERS.items():
                command = (sys.executable, "-c", SERVER, address, answer)
                servers.enter_context(process(one, *command))
            yield one
    finally:
        one.close()
        RESOLV_CONF.unlink()
        RESOLV_CONF.write_text(before)
        for path, text in kept.items():
            path.write_text(text)
        CONF.unlink(missing_ok=True)


def asked(one: Appliance) -> str:
    command = ("dig", "+short", "+time=20", "+tries=1", NAME)
    return one.inside("web", *command, check=False).stdout.strip()


def nameservers(one: Appliance, name: str) -> list[str]:
    lines = one.inside(name, "cat", "/etc/resolv.conf").stdout.splitlines()
    return [line.split()[1] for line in lines if line.startswith("nameserver ")]


def test_C50_its_stub_is_asked_from_the_host_and_its_servers_are_followed(host: Appliance) -> None:
    first, second = SERVERS
    with resolved(host, first):
        host.start()
        host.sdctl("network", "create", "front")
        host.sandbox("web", "--network", "front")
        host.sandbox_plain("plain")
        until(lambda: asked(host) == SERVERS[first], 60, "the first server answers")
        assert nameservers(host, "web") == ["127.0.0.11"]
        assert nameservers(host, "plain") == [first]  # the stub is no address of the sandbox
        assert "corp.example" in host.inside("plain", "cat", "/etc/resolv.conf").stdout
    with resolved(host, second):
        until(lambda: nameservers(host, "plain") == [second], 60, "resolv.conf follows")
        until(lambda: asked(host) == SERVERS[second], 60, "the second server answers")

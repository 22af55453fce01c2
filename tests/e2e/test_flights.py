"""Questions that are under way while a sandbox gets other servers are answered all the same."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance

SERVERS = ("198.18.0.1", "fd99::1")
SERVER = """
import socket, sys
import dns.message, dns.rrset
host = sys.argv[1]
link = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
link.bind((host, 53))
print("up", flush=True)
while True:
    data, peer = link.recvfrom(4096)
    reply = dns.message.make_response(dns.message.from_wire(data), recursion_available=True)
    reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", "A", "192.0.2.7"))
    link.sendto(reply.to_wire(), peer)
"""
ASKER = """
import json, sys, threading, time
import dns.message, dns.query, dns.rcode
ended, failed, asked = threading.Event(), [], []

def ask(thread):
    number = 0
    while not ended.is_set():
        number += 1
        query = dns.message.make_query(f"n{number}-{thread}.example.org", "A", use_edns=True)
        began = time.monotonic()
        reply = dns.query.udp(query, "127.0.0.11", timeout=6)
        asked.append(time.monotonic() - began)
        if reply.rcode() != dns.rcode.NOERROR:
            failed.append([each.to_text() for each in reply.extended_errors()])

threads = [threading.Thread(target=ask, args=(each,)) for each in range(3)]
for each in threads:
    each.start()
print("up", flush=True)
sys.stdin.read()
ended.set()
for each in threads:
    each.join()
print(json.dumps({"asked": len(asked), "failed": failed, "slowest": max(asked)}))
"""
CHANGES = 10


@contextmanager
def started(*command: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Appliance]:
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"dns": [SERVERS[0]]}))
    one = Appliance("flights", "--config", str(file))
    enter = ("nsenter", f"--net=/run/netns/{one.host}")
    with ExitStack() as stack:
        for each in SERVERS:
            nodad = ["nodad"] if ":" in each else []
            one.on_host("ip", "address", "add", each, "dev", "lo", *nodad)
            stack.enter_context(started(*enter, sys.executable, "-c", SERVER, each))
        one.start()
        yield one
        one.close()


def test_no_question_is_lost_to_a_network_with_servers_that_comes_and_goes(
    daemon: Appliance,
) -> None:
    daemon.sdctl("network", "create", "lab")
    own = [word for each in SERVERS for word in ("--dns", each)]
    daemon.sdctl("network", "create", "dual", "--ipv6", *own)
    box = daemon.sandbox("box", "--network", "lab")
    enter = ("nsenter", f"--net=/run/netns/{box}")
    with started(*enter, sys.executable, "-c", ASKER) as asking:
        for _ in range(CHANGES):
            daemon.sdctl("network", "connect", "dual", box)
            daemon.sdctl("network", "disconnect", "dual", box)
        told, _ = asking.communicate("", timeout=30)
    said = json.loads(told)
    assert said["asked"] > 100 * CHANGES
    assert said["failed"] == []

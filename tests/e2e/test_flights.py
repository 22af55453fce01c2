"""Questions that are under way while a sandbox gets other servers are answered all the same."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.appliance import PATIENCE_S, Appliance, until

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
import json, sys, threading
import dns.exception, dns.message, dns.query, dns.rcode
ended, failed, asked = threading.Event(), [], []

def ask(thread):
    number = 0
    while not ended.is_set():
        number += 1
        query = dns.message.make_query(f"n{number}-{thread}.example.org", "A", use_edns=True)
        try:
            reply = dns.query.udp(query, "127.0.0.11", timeout=30)
        except (OSError, dns.exception.DNSException) as exc:
            failed.append(repr(exc))
            continue
        asked.append(number)
        if reply.rcode() != dns.rcode.NOERROR:
            failed.append([each.to_text() for each in reply.extended_errors()])

threads = [threading.Thread(target=ask, args=(each,)) for each in range(3)]
for each in threads:
    each.start()
print("up", flush=True)
for _ in sys.stdin:  # each line asks how many it were
    print(len(asked), flush=True)
ended.set()
for each in threads:
    each.join()
print(json.dumps(failed))
"""
CHANGES = 10
MEANWHILE = 50  # questions, at least, between one change and the next


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
            for change in ("connect", "disconnect"):
                before = asked(asking)
                daemon.sdctl("network", change, "dual", box)
                until(lambda: asked(asking) >= before + MEANWHILE, PATIENCE_S, "questions")  # noqa: B023 - asked at once
        failed, _ = asking.communicate("", timeout=PATIENCE_S)
    assert json.loads(failed) == []


def asked(asking: "subprocess.Popen[str]") -> int:
    """How many questions were answered."""
    assert asking.stdin is not None
    assert asking.stdout is not None
    asking.stdin.write("\n")
    asking.stdin.flush()
    return int(asking.stdout.readline())

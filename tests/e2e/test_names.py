"""Names from inside real sandboxes: scope, types, forwarding, special names, both transports."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance, until
from tests.e2e.test_restart import worker_pids

UPSTREAM = """
import socket, sys
import dns.message, dns.rrset, dns.flags
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
while True:
    data, peer = s.recvfrom(4096)
    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query)
    name = query.question[0].name
    if query.question[0].rdtype == 1 and str(name).lower().startswith('ok'):
        reply.answer.append(dns.rrset.from_text(name, 60, 'IN', 'A', '192.0.2.77'))
    elif not str(name).lower().startswith('ok'):
        reply.set_rcode(3)
    s.sendto(reply.to_wire(), peer)
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("names") as one:
        one.sdctl("network", "create", "red", "--subnet", "10.60.0.0/24")
        one.sdctl("network", "create", "blue", "--subnet", "10.61.0.0/24")
        one.sandbox("r1", "--network", "red,alias=cache", "--hostname", "box1")
        one.sandbox("both", "--network", "red", "--network", "blue")
        one.sandbox("b1", "--network", "blue,ip=10.61.0.9")
        yield one


def dig(one: Appliance, sandbox: str, *args: str) -> str:
    return one.inside(sandbox, "dig", "+tries=1", "+time=20", "@127.0.0.11", *args).stdout


def short(one: Appliance, sandbox: str, *args: str) -> set[str]:
    return set(dig(one, sandbox, "+short", *args).split())


def test_A8_01_every_name_of_a_sandbox_resolves(daemon: Appliance) -> None:
    (r1,) = daemon.json("sandbox", "inspect", daemon.name("r1"))
    address = r1["Networks"]["red"]["IPAddress"]
    for name in (
        daemon.name("r1"),
        "r1",
        "cache",
        r1["Id"][:12],
        "box1",
        "r1.red",
        "BOX1",
        "cache.",
    ):
        assert short(daemon, "both", name) == {address}, name


def test_A8_02_a_name_is_known_only_where_a_network_is_shared(daemon: Appliance) -> None:
    assert short(daemon, "b1", "both")
    for name in ("r1.red", "r1"):
        said = dig(daemon, "b1", name)  # by the host's server, if it has one
        assert re.search("status: (NXDOMAIN|SERVFAIL)", said), said
        assert "ANSWER: 0" in said


def test_A8_04_known_name_other_type_is_nodata(daemon: Appliance) -> None:
    for kind in ("AAAA", "MX", "TXT", "HTTPS", "TYPE65280"):
        out = dig(daemon, "both", "r1", kind)
        assert "status: NOERROR" in out, kind
        assert "ANSWER: 0" in out, kind
        assert " ra" in out or "ra;" in out, kind


def test_C35_A8_13_ptr_names_the_endpoint_and_its_network(daemon: Appliance) -> None:
    assert short(daemon, "both", "-x", "10.61.0.9") == {f"{daemon.name('b1')}.blue."}
    assert not short(daemon, "r1", "-x", "10.61.0.9")


def test_tcp_answers_like_udp(daemon: Appliance) -> None:
    assert short(daemon, "both", "+tcp", "r1") == short(daemon, "both", "r1")


def test_A8_32_X2_chaos_class_is_refused(daemon: Appliance) -> None:
    assert "REFUSED" in dig(daemon, "both", "-c", "CH", "r1", "A")


def test_A8_14_an_added_host_is_in_the_file_and_in_dns(daemon: Appliance) -> None:
    daemon.sandbox("extra", "--network", "red", "--add-host", "printer:192.0.2.5")
    assert short(daemon, "extra", "printer") == {"192.0.2.5"}
    assert "192.0.2.5\tprinter" in daemon.inside("extra", "cat", "/etc/hosts").stdout
    assert not short(daemon, "r1", "printer")


@contextmanager
def upstream(daemon: Appliance, sandbox: str, at: str) -> Iterator[str]:
    """A server inside a sandbox, at its address; gives that."""
    enter = ("ip", "netns", "exec", daemon.name(sandbox))
    with subprocess.Popen([*enter, sys.executable, "-c", UPSTREAM, at]) as server:
        try:
            yield at
        finally:
            server.kill()


def address(daemon: Appliance, sandbox: str) -> str:
    (found,) = short(daemon, sandbox, sandbox)
    return found


def test_unknown_names_go_to_the_sandboxs_own_upstream(daemon: Appliance) -> None:
    with upstream(daemon, "b1", "10.61.0.9"):
        daemon.sandbox("asks", "--network", "blue", "--dns", "10.61.0.9")
        until(lambda: "192.0.2.77" in short(daemon, "asks", "ok.example.org"), 60, "forwarded")
        assert "NXDOMAIN" in dig(daemon, "asks", "no.example.org")
        assert short(daemon, "asks", "+tcp", "ok2.example.org") == {"192.0.2.77"}
        resolv = daemon.inside("asks", "cat", "/etc/resolv.conf").stdout
        assert "nameserver 127.0.0.11" in resolv
        assert "10.61.0.9" in resolv


def test_C23_A8_23_an_internal_sandbox_asks_only_inside(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "sealed", "--internal")
    daemon.sandbox("mute", "--network", "sealed")
    assert "NXDOMAIN" in dig(daemon, "mute", "ok.example.org")
    with upstream(daemon, "mute", address(daemon, "mute")) as server:
        daemon.sandbox("sees", "--network", "sealed", "--dns", server)
        until(lambda: "192.0.2.77" in short(daemon, "sees", "ok.example.org"), 60, "forwarded")


def test_the_default_network_has_no_name_service(daemon: Appliance) -> None:
    daemon.sandbox_plain("plain")
    resolv = daemon.inside("plain", "cat", "/etc/resolv.conf").stdout
    assert "127.0.0.11" not in "".join(x for x in resolv.splitlines() if x.startswith("nameserver"))


def test_dns_query_has_the_fixed_exit_codes(daemon: Appliance) -> None:
    own = ("--from", daemon.name("both"))
    assert daemon.sdctl("dns", "query", "r1", *own).returncode == 0
    assert (
        daemon.sdctl("dns", "query", "1.0.250.10.in-addr.arpa", "PTR", *own, check=False).returncode
        == 3
    )
    assert daemon.sdctl("dns", "query", "r1", "AAAA", *own, check=False).returncode == 4


def test_dns_trace_tells_who_decided(daemon: Appliance) -> None:
    own = ("--from", daemon.name("both"))
    assert "network red: has it" in daemon.sdctl("dns", "trace", "r1", *own).stdout
    assert "network red" in daemon.sdctl("dns", "query", "r1", *own).stderr
    assert daemon.sdctl("dns", "upstream", "ls").returncode == 0
    assert daemon.sdctl("dns", "cache", "flush").returncode == 0


def test_the_worker_holds_no_capability(daemon: Appliance) -> None:
    until(lambda: short(daemon, "both", "r1"), 60, "a worker serves")
    status = Path(f"/proc/{worker(daemon)}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "Uid:\t0\t" not in status


def test_C55_host_gateway_is_the_host(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "gw")
    daemon.sandbox("gw", "--network", "gw", "--add-host", "Home:host-gateway")
    (default,) = daemon.json("network", "inspect", "bridge")
    gateway = default["IPAM"]["Config"][0]["Gateway"]
    assert short(daemon, "gw", "home") == {gateway}
    assert daemon.inside("gw", "getent", "ahostsv4", "home").stdout.startswith(gateway)
    assert daemon.inside("gw", "ping", "-c1", "-W20", "home").returncode == 0


def test_a_trace_just_after_a_workers_death_waits_for_the_next_one(daemon: Appliance) -> None:
    os.kill(worker(daemon), signal.SIGKILL)
    trace = daemon.sdctl("dns", "trace", "r1", "--from", daemon.name("both"), check=False)
    assert "is not served here" not in trace.stdout
    assert "network red: has it" in trace.stdout


def worker(daemon: Appliance) -> int:
    """The pid of the only DNS worker of this appliance."""
    (found,) = worker_pids(daemon)
    return int(found)

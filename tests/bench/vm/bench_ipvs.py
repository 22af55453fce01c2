"""IPVS in the lab kernel: many services from empty, whole daemon, against `ipvsadm -R` and keepalived.

Ours: the daemon has the services already; a sandbox joins their network by one request, and when
the answer comes its namespace, link, names and all of IPVS are there, read back. The peer is given
the very same IPVS entries (of every service one for streams and one for datagrams) and nothing
else; keepalived is started with them as its configuration, without checks, until the kernel has all.
The guest is emulated: only the ratio means something, and interpreted code pays more for that than
compiled code.
"""

import contextlib
import http.client
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sdd.model.service import Scheduler
from tests.bench.daemon.bench_sandbox_create import UnixConnection
from tests.bench.lb import stock
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance

SERVICES = int(os.environ.get("BENCH_SERVICES", "1000"))
DEADLINE_S = 600
_HEAD = 3  # lines of /proc/net/ip_vs before the first entry


def entries(netns: str) -> list[str]:
    """As `ipvsadm -R` takes them, numeric."""
    done = subprocess.run(
        ["nsenter", f"--net={netns}", "ipvsadm", "-Sn"], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


@contextlib.contextmanager
def fresh(name: str) -> Iterator[str]:
    """The file of a new namespace."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    # Without a local routing table IPVS takes every address for a broadcast one.
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    try:
        yield f"/run/netns/{name}"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def ours(daemon: Appliance) -> tuple[float, str]:
    """Seconds until the sandbox is there with all of it, and its namespace."""
    # Names of all services are made when the daemon starts; that is no part of this.
    while not is_done(daemon):
        time.sleep(0.5)  # outside what is timed; each look costs the emulated daemon some of it
    name = daemon.name("client")
    made = {"name": name, "attachments": [{"network": stock.NETWORK}]}
    before = time.monotonic()
    status, text = asked(daemon, "POST", "/v1/sandboxes", made)
    # A request waits for 25 s; here, emulated, it may take longer. What is stored is completed.
    assert status in (http.client.CREATED, http.client.GATEWAY_TIMEOUT), text
    while status != http.client.CREATED and not is_done(daemon):
        assert time.monotonic() - before < DEADLINE_S, text
        time.sleep(0.05)  # between looks at `is_done`; the seconds that are told are many
    return time.monotonic() - before, f"/var/run/netns/{name}"


def is_done(daemon: Appliance) -> bool:
    """Whether every backend is where the state is, and failed at nothing."""
    _, text = asked(daemon, "GET", "/v1/status", None)
    found = json.loads(text)
    return all(
        each["Revision"] >= found["Revision"] and not each["Failures"] for each in found["Backends"]
    )


def asked(daemon: Appliance, verb: str, path: str, body: object) -> tuple[int, bytes]:
    """Status and body of the answer."""
    with contextlib.closing(UnixConnection(daemon.url.removeprefix("unix://"))) as link:
        link.request(verb, path, json.dumps(body), {"Content-Type": "application/json"})
        reply = link.getresponse()
        return reply.status, reply.read()


def ipvsadm(rules: list[str]) -> float:
    with fresh("t-bench-ipvsadm") as netns:
        before = time.monotonic()
        subprocess.run(
            ["nsenter", f"--net={netns}", "ipvsadm", "-R"],
            check=True,
            text=True,
            input="\n".join((*rules, "")),
        )
        took = time.monotonic() - before
        assert len(entries(netns)) == len(rules)
    return took


def keepalived(rules: list[str]) -> float:
    """From its start to the last entry in the kernel."""
    with fresh("t-bench-keepalived") as netns, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "keepalived.conf"
        config.write_text("\n".join(configured(rules)))
        command = ["keepalived", "--dont-fork", "--check", "--use-file", str(config)]
        command += ["--pid", f"{folder}/pid", "--checkers_pid", f"{folder}/checkers"]
        before = time.monotonic()
        process = subprocess.Popen(
            ["nsenter", f"--net={netns}", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # The kernel's own list, which costs neither side a process.
            table = Path(f"/proc/{process.pid}/net/ip_vs")
            while table.read_text().count("\n") < _HEAD + len(rules):
                assert process.poll() is None, "keepalived ended"
                assert time.monotonic() - before < DEADLINE_S, "keepalived is not done"
                time.sleep(0.05)
            return time.monotonic() - before
        finally:
            process.terminate()
            process.wait(60)


def configured(rules: list[str]) -> Iterator[str]:
    """`ipvsadm -Sn` → keepalived.conf."""
    is_open = False
    for words in map(str.split, rules):
        mark = words[words.index("-f") + 1]
        if words[0] == "-A":
            yield "}" if is_open else ""
            yield f"virtual_server fwmark {mark} {{"
            yield f"  lvs_sched {words[words.index('-s') + 1]}"
            yield "  lvs_method NAT"
            is_open = True
        else:
            address = words[words.index("-r") + 1].partition(":")[0]
            yield f"  real_server {address} 0 {{"
            yield "    weight 1"
            yield "  }"
    yield "}"


def main() -> None:
    """Prints a row for each peer."""
    with stock.stocked("ipvs", SERVICES, Scheduler.RR, "--metrics-addr", "off") as daemon:
        took, netns = ours(daemon)
        rules = entries(netns)
        assert len(rules) == 2 * SERVICES * (1 + stock.BACKENDS), len(rules)
    for peer, by, goal in (("ipvsadm -R", ipvsadm, 1 / 5), ("keepalived", keepalived, 1 / 3)):
        row(
            Row(
                what=f"IPVS: {SERVICES} x {stock.BACKENDS} services from empty, whole daemon",
                ours=took,
                peer=by(rules),
                peer_name=peer,
                unit="s",
                goal=goal,
            )
        )


if __name__ == "__main__":
    main()

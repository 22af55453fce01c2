"""IPVS in the lab kernel: many services from empty, whole daemon, against `ipvsadm -R` and keepalived.

Ours: the daemon has the services already; a sandbox joins their network by one request, which makes
its namespace, link, names and all of IPVS. The peer is given the very same IPVS entries (of every
service one for streams and one for datagrams) and nothing else; keepalived is started with them as
its configuration, without checks. For both who work on their own, daemon and keepalived, the time
ends when the kernel's own list is whole; ours reads it back then, and answers when the names of all
are told as well, which is said beside it. What is no one's to mend is measured too: the kernel alone
with our requests, which are ready. All of it several times, and of each the least is told: what
others do on the machine comes on top of it. Then one weight among them all, many times.
The guest is emulated: only the ratio means something, and interpreted code pays more for that than
compiled code.
"""

import contextlib
import http.client
import json
import os
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from ipaddress import IPv4Address
from pathlib import Path

from lb import table
from lb.kernel import ipvs_codec, ipvs_front, ipvs_list, ipvs_session, ipvs_whole
from sdd.linux import namespaces, netlink
from sdd.model.service import Scheduler
from tests.bench.daemon.bench_sandbox_create import UnixConnection
from tests.bench.lb import stock
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance

SERVICES = int(os.environ.get("BENCH_SERVICES", "1000"))
DEADLINE_S = 600
ROUNDS = 3
WEIGHTS = 300  # times one is set
BOUND_MS = 5.0
LOOK_S = 0.005  # between two looks
_HEAD = 3  # lines of /proc/net/ip_vs before the first entry
# include/uapi/linux/ip_vs.h: IP_VS_SO_GET_INFO, struct ip_vs_getinfo
_GET_INFO, _INFO = 64 + 1024 + 64 + 1, struct.Struct("=III")


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


def ours(daemon: Appliance) -> tuple[float, float, str]:
    """Seconds until the kernel has all of it and until the answer, and the sandbox's namespace."""
    while not is_done(daemon):
        time.sleep(0.5)  # outside what is timed; each look costs the emulated daemon some of it
    name = daemon.name("client")
    netns = f"/var/run/netns/{name}"
    made = {"name": name, "attachments": [{"network": stock.NETWORK}]}
    with futures.ThreadPoolExecutor(1) as beside:
        before = time.monotonic()
        answer = beside.submit(asked, daemon, "POST", "/v1/sandboxes", made)
        whole = seen(netns, 2 * SERVICES, before) - before
        status, text = answer.result()
        # A request waits for 25 s; here, emulated, it may take longer. What is stored is completed.
        assert status in (http.client.CREATED, http.client.GATEWAY_TIMEOUT), text
        while status != http.client.CREATED and not is_done(daemon):
            time.sleep(0.05)  # between looks
        return whole, time.monotonic() - before, netns


def seen(netns: str, services: int, begun: float) -> float:
    """When the kernel's list in a namespace yet to come was whole."""
    while not namespaces.inode(netns):
        assert time.monotonic() - begun < DEADLINE_S, "there is no namespace"
        time.sleep(LOOK_S)
    return watched(netns, services, begun)


def watched(netns: str, services: int, begun: float) -> float:
    """When the kernel's list there was whole."""
    doors = namespaces.Namespaces(workers=1)
    try:
        return doors.run_sync(netns, lambda: _whole(services, begun))
    finally:
        doors.close()


def _whole(services: int, begun: float) -> float:
    """Looks at the number of services, which costs next to nothing, the same for everybody.

    To read the list takes the emulated kernel 0.1 s, so it is read once all services are there;
    whoever has not made their backends by then is timed by the list.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as asked:
        while _INFO.unpack(asked.getsockopt(0, _GET_INFO, _INFO.size))[2] < services:
            assert time.monotonic() - begun < DEADLINE_S, "services are missing"
            time.sleep(LOOK_S)
    at = time.monotonic()
    lines = _HEAD + services * (1 + stock.BACKENDS)
    while ipvs_list.FILE.read_text().count("\n") < lines:
        at = time.monotonic()
        assert at - begun < DEADLINE_S, "the list is not whole"
    return at


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


def weights(netns: str) -> None:
    """Prints a row of how long the kernel takes for one weight beside all the others."""
    doors = namespaces.Namespaces()
    try:
        took = doors.run_sync(netns, _weighed)
    finally:
        doors.close()
    row(
        Row(
            what=f"IPVS: one weight among {SERVICES} x {stock.BACKENDS}, the kernel's part, p99",
            ours=sorted(took)[int(len(took) * 0.99)] * 1000,
            peer=BOUND_MS,
            peer_name="the bound",
            unit="ms",
            goal=1.0,
        )
    )


def _weighed() -> list[float]:
    """Seconds that the two requests of a new weight take, from their sending to the answer."""
    found = ipvs_session.available()
    assert found is not None
    times = []
    with ipvs_session.Session(found[0]) as session, netlink.Connection(netlink.GENERIC) as link:
        keys = sorted(session.listed())[:2]
        (backend, *_) = session.backends(keys[0])
        for turn in range(WEIGHTS):
            words = (ipvs_codec.SET_BACKEND, backend.address, 2 + turn % 9)
            messages = [
                ipvs_codec.backend_request(found[0], words[0], key, *words[1:]) for key in keys
            ]
            before = time.monotonic()
            results = link.request(messages)
            times.append(time.monotonic() - before)
            assert not any(each.error for each in results)
    return times


def alone(rules: list[str], *, then: Callable[[str], None] = lambda _: None) -> float:
    """What the kernel takes for our requests, which are ready, one load after the other."""
    with fresh("t-bench-alone") as netns:
        doors = namespaces.Namespaces(workers=1)
        try:
            took = doors.run_sync(netns, lambda: _sent(list(served(rules))))
        finally:
            doors.close()
        assert len(entries(netns)) == len(rules)
        then(netns)
    return took


def _sent(services: list[table.VirtualService]) -> float:
    found = ipvs_session.available()
    assert found is not None
    with netlink.Connection(netlink.GENERIC) as link:
        loads = list(ipvs_whole.loads(found[0], services, link.room()))
        before = time.monotonic()
        refused = link.refusals(loads)
        took = time.monotonic() - before
    assert not refused
    return took


def served(rules: list[str]) -> Iterator[table.VirtualService]:
    """`ipvsadm -Sn` → what is behind the marks of streams; those of datagrams have the same."""
    backends: dict[int, list[table.Backend]] = {}
    for words in map(str.split, rules):
        those = backends.setdefault(int(words[words.index("-f") + 1]), [])
        if words[0] == "-a":
            address = words[words.index("-r") + 1].partition(":")[0]
            those.append(table.Backend(address=IPv4Address(address)))
    for mark, those in backends.items():
        number, is_datagram = divmod(mark - ipvs_front.BASE, 2)
        if not is_datagram:
            yield table.VirtualService(
                number=number,
                vip=IPv4Address(number),
                scheduler=Scheduler.RR,
                backends=tuple(those),
            )


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
            return watched(netns, 2 * SERVICES, before) - before
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
    """Prints a row for each peer, and what of it all is the kernel's part."""
    loaded()
    with stock.stocked("ipvs", SERVICES, Scheduler.RR, "--metrics-addr", "off") as daemon:
        joins = []
        for _ in range(ROUNDS):
            whole, answered, netns = ours(daemon)
            joins.append(whole)
            print(f"  {whole:.2f} s; answered, with all names, after {answered:.1f} s", flush=True)
            rules = entries(netns)
            assert len(rules) == 2 * SERVICES * (1 + stock.BACKENDS), len(rules)
            asked(daemon, "DELETE", f"/v1/sandboxes/{daemon.name('client')}", None)
            while namespaces.inode(netns):
                time.sleep(0.1)  # whatever the answer was, it goes
    took = min(joins)
    kernel, restored, kept = (
        min(by(rules) for _ in range(ROUNDS)) for by in (alone, ipvsadm, keepalived)
    )
    compared(", whole daemon", took, ("the kernel's part alone", kernel), 2.0)
    compared(", whole daemon", took, ("ipvsadm -R", restored), 1 / 5)
    peer = ("keepalived", kept)
    compared(", whole daemon", took, peer, 1 / 3)
    compared(", the kernel's part alone", kernel, peer, 1 / 3)
    alone(rules, then=weights)


def compared(how: str, ours: float, peer: tuple[str, float], goal: float) -> None:
    """Prints a row."""
    what = f"IPVS: {SERVICES} x {stock.BACKENDS} services from empty{how}"
    row(Row(what=what, ours=ours, peer=peer[1], peer_name=peer[0], unit="s", goal=goal))


def loaded() -> None:
    """The kernel's modules are there, so that nobody's time is that of loading them."""
    with fresh("t-bench-loaded") as netns:
        words = ("ipvsadm", "-A", "-f", "1", "-s", "rr")
        subprocess.run(["nsenter", f"--net={netns}", *words], check=True)


if __name__ == "__main__":
    main()

"""Requests through a virtual address against the direct way and HAProxy, by wrk with nginx behind.

A client, a proxy and a server in namespaces on one bridge. The server's three addresses are one
nginx with one worker, so all three ways end at the same process: directly to the first address, to
the virtual address of all three (balanced by nftables in the client's namespace), and through
HAProxy in tcp mode, one thread. The ways take turns, and the best round of each counts: what is left
then is the work, not the neighbours. IPVS forwards the same in function; in an emulated kernel its
speed would mean nothing.
"""

import asyncio
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from types import MappingProxyType

from lb import plan, table
from lb.kernel.nftables import NftablesKernel
from sdd.linux import namespaces
from sdd.model.service import Scheduler
from tests.bench.report import Better, Row, row
from tests.support import eventually

SHORT = bool(os.environ.get("BENCH_SHORT"))
ROUNDS = 6 if SHORT else 12
SECONDS = 1 if SHORT else 3
CONNECTIONS = 32
VIP = IPv4Address("10.9.0.200")
BACKENDS = tuple(IPv4Address(f"10.9.0.1{number}") for number in range(3))
ADDRESSES = {"client": ("10.9.0.1",), "proxy": ("10.9.0.2",), "server": tuple(map(str, BACKENDS))}
WAYS = {"direct": BACKENDS[0], "ours": VIP, "HAProxy": IPv4Address("10.9.0.2")}
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 80 backlog=1024; location / {{ return 200 "hello\\n"; }} }}
}}
"""
HAPROXY = """
global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen web
  bind 10.9.0.2:80
  balance roundrobin
"""
Found = dict[str, list[tuple[float, float]]]  # way → (requests a second, median milliseconds)


def inside(folder: str, name: str, *words: str) -> list[str]:
    return ["nsenter", f"--net={folder}/t-{name}", *words]


@contextmanager
def place() -> Iterator[tuple[str, namespaces.Namespaces]]:
    """The namespaces, wired."""
    doors = namespaces.Namespaces()
    with tempfile.TemporaryDirectory(prefix="t-forwarding-", dir="/dev/shm") as folder:
        names = ("switch", *ADDRESSES)
        for name in names:
            doors.create_sync(f"{folder}/t-{name}")
        try:
            wire(folder)
            yield folder, doors
        finally:
            for name in names:
                doors.delete_sync(f"{folder}/t-{name}")
            doors.close()


def wire(folder: str) -> None:
    script = ["ip link add br0 type bridge", "ip link set br0 up"]
    for name, addresses in ADDRESSES.items():
        script += [
            f"ip link add {name} master br0 up type veth peer name eth0",
            f"exec 3<{folder}/t-{name}",
            "ip link set eth0 netns /proc/self/fd/3",
            f"nsenter --net={folder}/t-{name} ip link set eth0 up",
        ]
        script += [
            f"nsenter --net={folder}/t-{name} ip addr add {each}/24 dev eth0" for each in addresses
        ]
    subprocess.run(inside(folder, "switch", "sh", "-ec", "\n".join(script)), check=True)


@contextmanager
def running(folder: str, name: str, *words: str) -> Iterator[None]:
    """A program in a namespace until the block ends; its port 80 is open when it begins."""
    with subprocess.Popen(inside(folder, name, *words)) as process:
        try:
            eventually(lambda: listens(folder, name), 10, f"{words[0]} listens")
            yield
        finally:
            process.send_signal(signal.SIGKILL)


def listens(folder: str, name: str) -> bool:
    listing = inside(folder, name, "ss", "-Hltn", "sport = :80")
    return bool(subprocess.run(listing, check=True, capture_output=True).stdout)


def balanced(folder: str, doors: namespaces.Namespaces) -> None:
    """Our rules, in the client's namespace."""
    spot = table.Place(
        netns=f"{folder}/t-client", addresses=(IPv4Interface(f"{ADDRESSES['client'][0]}/24"),)
    )
    service = table.VirtualService(
        number=1,
        vip=VIP,
        scheduler=Scheduler.RR,
        backends=tuple(table.Backend(address=each) for each in BACKENDS),
    )
    want = table.Table(services=MappingProxyType({VIP: service}))
    done = asyncio.run(NftablesKernel(doors).apply(spot, table.EMPTY, plan.diff(table.EMPTY, want)))
    assert done.refusals == (), done


def wrk(folder: str, to: IPv4Address) -> tuple[float, float]:
    """(requests a second, median latency in ms)."""
    words = ("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", f"http://{to}/")
    done = subprocess.run(
        inside(folder, "client", *words), check=True, capture_output=True, text=True
    )
    assert "Non-2xx" not in done.stdout, done.stdout
    rate = re.search(r"Requests/sec: +([0-9.]+)", done.stdout)
    median = re.search(r" 50% +([0-9.]+)(us|ms|s)", done.stdout)
    assert rate, done.stdout
    assert median, done.stdout
    return float(rate[1]), float(median[1]) * {"us": 0.001, "ms": 1, "s": 1000}[median[2]]


def measured() -> Found:
    found: Found = {way: [] for way in WAYS}
    with ExitStack() as stack:
        folder, doors = stack.enter_context(place())
        nginx, haproxy = Path(folder) / "nginx.conf", Path(folder) / "haproxy.cfg"
        nginx.write_text(NGINX.format(folder=folder))
        servers = "".join(f"  server s{at} {each}:80\n" for at, each in enumerate(BACKENDS))
        haproxy.write_text(HAPROXY + servers)
        stack.enter_context(running(folder, "server", "nginx", "-c", str(nginx), "-p", folder))
        stack.enter_context(running(folder, "proxy", "haproxy", "-db", "-q", "-f", str(haproxy)))
        balanced(folder, doors)
        for _ in range(ROUNDS):
            for way, to in WAYS.items():
                found[way].append(wrk(folder, to))
    return found


def main() -> None:
    """Prints the rows."""
    found = measured()
    rates = {way: max(each for each, _ in found[way]) for way in WAYS}
    medians = {way: min(each for _, each in found[way]) for way in WAYS}
    extra = {way: medians[way] - medians["direct"] for way in WAYS}
    for peer, goal in (("direct", 0.85), ("HAProxy", 1.2)):
        row(
            Row(
                what="requests a second through a virtual address (nftables, wrk)",
                ours=rates["ours"],
                peer=rates[peer],
                peer_name=peer,
                unit="/s",
                goal=goal,
                better=Better.HIGHER,
            )
        )
    row(
        Row(
            what="the same, median latency more than direct",
            ours=max(0.0, extra["ours"]),
            peer=extra["HAProxy"],
            peer_name="HAProxy",
            unit="ms",
            goal=1 / 3,
        )
    )


if __name__ == "__main__":
    main()

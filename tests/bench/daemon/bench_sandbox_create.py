"""`sandbox create` with one network through the whole daemon, against `ip -batch`.

Ours: one HTTP request a sandbox; when it answers, the namespace, its link, addresses, routes, DNS
server, resolv.conf and hosts are there and durable. The peer makes kernel objects only: one
`ip -batch` for the host's side and one for the inside, as a careful script would; in the second
comparison also the sandbox's nftables table, which ours makes in both.
"""

import http.client
import json
import os
import socket
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from resolver import protocol
from resolver.space import redirect
from sdd.linux import libc
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance, appliance

COUNT = 40
WARM_UP = 5
GOAL = 3.0
GOAL_TYPED = 2.0
LISTENING = protocol.Listening(inode=0, udp_port=40001, tcp_port=40002)


class UnixConnection(http.client.HTTPConnection):
    """HTTP to the daemon's socket, kept open between requests."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ours(daemon: Appliance) -> list[float]:
    """Seconds of each create."""
    link = UnixConnection(daemon.url.removeprefix("unix://"))
    taken = []
    for number in range(COUNT + WARM_UP):
        body = json.dumps(
            {"name": daemon.name(f"o{number}"), "attachments": [{"network": "bench"}]}
        )
        begin = time.perf_counter()
        link.request("POST", "/v1/sandboxes", body, {"Content-Type": "application/json"})
        reply = link.getresponse()
        text = reply.read()
        taken.append(time.perf_counter() - begin)
        assert reply.status in (200, 201), text
    link.close()
    return taken[WARM_UP:]


def batch(*prefix: str, lines: list[str]) -> None:
    subprocess.run([*prefix, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def peer(daemon: Appliance, *, table: bool = False) -> list[float]:
    """Seconds of each set of objects; made in a thread that is on the pretended host.

    `table` adds what `ip` has no words for: the sandbox's nftables table, by `nft -f`.

    `ip -n HOST` would not do: it takes a mount namespace of its own, in which a namespace that it
    adds stays.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="peer") as host:
        return host.submit(on_host, daemon, table=table).result()


def on_host(daemon: Appliance, *, table: bool) -> list[float]:
    path = f"/run/netns/{daemon.host}"
    descriptor = os.open(path, os.O_RDONLY)
    libc.setns(descriptor, path)
    os.close(descriptor)
    batch("ip", lines=["link add brpeer type bridge", "link set brpeer up"])
    taken = []
    for number in range(COUNT + WARM_UP):
        name = daemon.name(f"p{number}")
        begin = time.perf_counter()
        batch(
            "ip",
            lines=[
                f"netns add {name}",
                f"link add vp{number} type veth peer name eth0 netns {name}",
                f"link set vp{number} alias sdd:peer{number} master brpeer up",
            ],
        )
        batch(
            "ip",
            "-n",
            name,
            lines=[
                "link set lo up",
                "link set eth0 address 02:42:0a:62:00:02",
                "link set eth0 up",
                f"address add 10.98.{number // 200}.{number % 200 + 2}/16 dev eth0",
                "route add default via 10.98.0.1",
            ],
        )
        if table:
            subprocess.run(
                ["nsenter", f"--net=/run/netns/{name}", "nft", "-f", "-"],
                input=redirect.text(LISTENING),
                text=True,
                check=True,
            )
        taken.append(time.perf_counter() - begin)
    batch("ip", lines=["link del brpeer"])
    for number in range(COUNT + WARM_UP):
        subprocess.run(["ip", "netns", "del", daemon.name(f"p{number}")], check=True)
    return taken[WARM_UP:]


def typed(daemon: Appliance, *words: str) -> float:
    """Median seconds of a command as typed, its own start included; `{}` becomes a number."""
    taken = []
    for number in range(10):
        begin = time.perf_counter()
        daemon.sdctl(*(each.format(number) for each in words))
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main() -> None:
    """Prints the comparisons; what `sdctl` costs beside is its start, an interpreter's."""
    with appliance("create") as daemon:
        daemon.sdctl("network", "create", "bench", "--subnet", "10.97.0.0/16")
        mine, links = statistics.median(ours(daemon)), statistics.median(peer(daemon))
        whole = statistics.median(peer(daemon, table=True))
        create = typed(daemon, "sandbox", "create", daemon.name("c{}"), "--network", "bench")
        start = typed(daemon, "--help")
    for what, seconds, name, theirs, goal in (
        ("API", mine, "ip -batch", links, GOAL),
        ("API", mine, "ip -batch and nft -f", whole, GOAL),
        ("sdctl typed", create, "sdctl --help", start, GOAL_TYPED),
    ):
        row(
            Row(
                what=f"sandbox create, one network ({what})",
                ours=seconds * 1e3,
                peer=theirs * 1e3,
                peer_name=name,
                unit="ms",
                goal=goal,
            )
        )


if __name__ == "__main__":
    main()

"""A8-76: 1000 sandboxes on one network of 1000 names, against the promised bounds.

Memory: what `sdd` and its DNS worker together take more than with one sandbox (PSS: pages that
both share count once), and what they take in all (RSS). Start: from nothing but the store and what
is in the kernel, both processes having been killed, until the last name is answered again.
Shortened, fewer sandboxes have their share of the bounds.
"""

import http.client
import json
import os
import signal
import time

from tests.bench.daemon.bench_idle_memory import BOUND_MIB as IDLE_MIB
from tests.bench.daemon.bench_idle_memory import measured
from tests.bench.daemon.bench_sandbox_create import UnixConnection
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance, appliance, until

MOST = 1000
COUNT = 250 if os.environ.get("BENCH_SHORT") else MOST
SHARE = COUNT / MOST
MORE_MIB = 60
ALL_MIB = 300
START_S = 60


def create(link: http.client.HTTPConnection, name: str) -> None:
    body = json.dumps({"name": name, "attachments": [{"network": "wide"}]})
    link.request("POST", "/v1/sandboxes", body, {"Content-Type": "application/json"})
    reply = link.getresponse()
    text = reply.read()
    assert reply.status == http.client.CREATED, text


def total(daemon: Appliance, field: str) -> float:
    """MiB of both processes."""
    return sum(each[field] for each in measured(daemon).values())


def answers(daemon: Appliance, name: str) -> bool:
    """Whether the DNS server in a sandbox knows the sandbox."""
    words = ("dig", "+short", "+tries=1", "+time=1", "@127.0.0.11", daemon.name(name))
    return bool(daemon.inside(name, *words, check=False).stdout.strip())


def started_s(daemon: Appliance, last: str) -> float:
    """Seconds from the start after a double `kill -9` until everything is as it was."""
    for pid in daemon.pids():
        os.kill(pid, signal.SIGKILL)
    assert daemon.process is not None
    daemon.process.wait(20)
    begin = time.monotonic()
    daemon.start(deadline_s=10 * START_S)
    until(lambda: answers(daemon, last), START_S, lambda: f"{last}; the log:\n{daemon.log()}")
    return time.monotonic() - begin


def main() -> None:
    """Prints the rows."""
    with appliance("wide") as daemon:
        daemon.sdctl("network", "create", "wide", "--subnet", "10.96.0.0/16")
        link = UnixConnection(daemon.url.removeprefix("unix://"))
        create(link, daemon.name("m0"))
        one = total(daemon, "Pss")
        for number in range(1, COUNT):
            create(link, daemon.name(f"m{number}"))
        more, whole = total(daemon, "Pss") - one, total(daemon, "Rss")
        link.close()
        start = started_s(daemon, f"m{COUNT - 1}")
    on = f"{COUNT} sandboxes on one network"
    for what, ours, bound, unit in (
        (f"{on}, more than one, PSS", more, MORE_MIB * SHARE, "MiB"),
        (f"{on}, RSS", whole, IDLE_MIB + (ALL_MIB - IDLE_MIB) * SHARE, "MiB"),
        (f"{on}, start after a crash of both processes", start, START_S * SHARE, "s"),
    ):
        row(Row(what=what, ours=ours, peer=bound, peer_name="the bound", unit=unit, goal=1.0))


if __name__ == "__main__":
    main()

"""Commands beside 1000 services of 10 members each: whole daemon, asked at its socket.

One sandbox here is a client of all of them, so each answer means that its kernel was changed and
read back. The peer is the same daemon with 10 services: what a command costs must hardly grow with
what is there. By the clock, and by the CPU of daemon and worker, which other work on the machine
does not change.
"""

import http.client
import json
import os
import statistics
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from sdd.model.service import Scheduler
from tests.bench.daemon.bench_sandbox_create import UnixConnection
from tests.bench.lb import stock
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance

SHORT = bool(os.environ.get("BENCH_SHORT"))
MANY, FEW = 1000, 10
ROUNDS = 10 if SHORT else 60
GOAL = 3.0  # as many times the few as many may cost
CHECK = {"kind": "ttl", "ttl_s": 3600, "rise": 1, "fall": 1}
TTL = {"name": "flip", "network": stock.NETWORK, "health": CHECK}
Found = dict[str, list[tuple[float, float]]]  # milliseconds by the clock, and of CPU


class Asker:
    """One connection to the daemon."""

    def __init__(self, daemon: Appliance) -> None:
        self._link = UnixConnection(daemon.url.removeprefix("unix://"))

    def __call__(self, verb: str, path: str, body: object = None) -> Any:
        self._link.request(verb, path, json.dumps(body), {"Content-Type": "application/json"})
        reply = self._link.getresponse()
        text = reply.read()
        assert reply.status in (http.client.OK, http.client.CREATED), text
        return json.loads(text)


def measured(count: int) -> Found:
    """What each command took."""
    found: Found = {}

    def timed(what: str, work: Callable[..., object], *words: object) -> None:
        spent, before = cpu_ms(pids), time.perf_counter()
        work(*words)
        took = (time.perf_counter() - before) * 1000
        found.setdefault(what, []).append((took, cpu_ms(pids) - spent))

    with stock.stocked(f"cmd{count}", count, Scheduler.RR, "--metrics-addr", "off") as daemon:
        ask, pids = Asker(daemon), daemon.pids()
        boxes = [daemon.name(each) for each in ("client", "other")]
        for box in boxes:
            ask("POST", "/v1/sandboxes", {"name": box, "attachments": [{"network": "front"}]})
        members = f"/v1/services/{stock.name(count // 2)}/members"
        mine = f"{members}/{boxes[1]}"
        ask("POST", "/v1/services", TTL)
        ask("POST", "/v1/services/flip/members", {"sandbox": boxes[1]})
        for turn in range(ROUNDS):
            made = {"name": f"new{turn}", "network": stock.NETWORK}
            timed("service create", ask, "POST", "/v1/services", made)
            timed("service join", ask, "POST", members, {"sandbox": boxes[1]})
            timed("set-weight", ask, "PATCH", mine, {"weight": 2 + turn})
            timed("service leave", ask, "DELETE", f"{mine}?drain=0")
            timed("health flip", flipped, ask, boxes[1], not turn % 2)
    return found


def cpu_ms(pids: Collection[int]) -> float:
    """Of all threads of the daemon and its worker so far."""
    files = (file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[0]) for file in files) / 1e6


def flipped(ask: Asker, box: str, is_up: bool) -> None:
    """Reported, and seen in the state of the member."""
    report = {"status": "pass" if is_up else "fail", "reason": "bench"}
    ask("POST", f"/v1/services/flip/members/{box}/report", report)
    while is_up != (ask("GET", "/v1/services/flip/members")[0]["State"] == "up"):
        pass


def main() -> None:
    """Prints a row a command."""
    few, many = measured(FEW), measured(MANY)
    for what in many:
        for at, kind in enumerate(("median", "CPU")):
            ours, peer = (statistics.median(each[at] for each in of[what]) for of in (many, few))
            row(
                Row(
                    what=f"{what} beside {MANY} x {stock.BACKENDS}, {kind}",
                    ours=ours,
                    peer=peer,
                    peer_name=f"beside {FEW}",
                    unit="ms",
                    goal=GOAL,
                )
            )


if __name__ == "__main__":
    main()

"""A member's link goes down under a daemon: from there until nothing new is led to the member.

What is looked at is the kernel's own table in the client's sandbox. The checks are seconds apart,
so that they are not what noticed. A member of many services leaves all of them: the last one counts.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from ipaddress import ip_address
from typing import NamedTuple

from lb import table
from lb.kernel.nftables import NftablesKernel
from sdd.linux import namespaces
from sdd.model.network import IPAddress
from tests.bench.lb import flap
from tests.bench.lb.bench_commands import Asker
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance, until

ROUNDS = 3 if os.environ.get("BENCH_SHORT") else 9
MANY = 150
LOOKED_AT = 10  # services of which the first is seen: to look at all takes their time
MEMBERS = ("one", "two")
BOUND_S = 0.2
DEADLINE_S = 60
CHECK = {"kind": "tcp", "port": 80, "interval_s": 5, "rise": 1}


class Left(NamedTuple):
    """Seconds until the first service and the last one lead nothing new to the member."""

    first: float
    last: float


def main() -> None:
    """Prints a row for a member of one service, and for one of many."""
    of_one, of_many = left(1), left(MANY)
    told = {
        "a member's link down, until nothing new is led to it": [each.last for each in of_one],
        f"the same for a member of {MANY} services, the first": [each.first for each in of_many],
        f"the same for a member of {MANY} services, the last": [each.last for each in of_many],
    }
    for what, found in told.items():
        row(
            Row(
                what=what,
                ours=statistics.median(found) * 1000,
                peer=BOUND_S * 1000,
                peer_name="the bound",
                unit="ms",
                goal=1.0,
            )
        )


def left(count: int) -> list[Left]:
    """Of each round, the members being in `count` services."""
    daemon = Appliance(f"cable{count}", "--metrics-addr", "off", "--lb-backend", "nftables")
    try:
        daemon.start()
        return measured(daemon, count)
    finally:
        daemon.close()


def measured(daemon: Appliance, count: int) -> list[Left]:
    """The same of a daemon that has nothing yet."""
    daemon.sdctl("network", "create", "front")
    daemon.sandbox("client", "--network", "front")
    ask, services = Asker(daemon), [f"web{number}" for number in range(count)]
    vips = []
    for each in services:
        asked = {"name": each, "network": "front", "health": CHECK}
        vips.append(ip_address(ask("POST", "/v1/services", asked)["VIPs"][0]))
    for name in MEMBERS:
        daemon.sandbox(name, "--network", "front")
        daemon.program(name, "busybox", "httpd", "-f", "-p", "80", "-h", "/")
        for each in services:
            ask("POST", f"/v1/services/{each}/members", {"sandbox": daemon.name(name)})
    some = vips[:: -(-count // LOOKED_AT)]
    place = table.Place(netns=f"/var/run/netns/{daemon.name('client')}")
    with closing(namespaces.Namespaces()) as doors, asyncio.Runner() as runner:
        kernel = NftablesKernel(doors)

        def both(some: Sequence[IPAddress]) -> int:
            """How many of these services lead to both members."""
            shown = runner.run(kernel.read(place, some)).services
            return sum(len(each.open) == len(MEMBERS) for each in shown.values())

        def leaves(pull: Callable[[], None]) -> Left:
            begun = time.monotonic()
            pull()
            while both(some) == len(some):
                assert time.monotonic() - begun < DEADLINE_S, "it is never noticed"
            first = time.monotonic() - begun
            while left := both(vips):
                assert time.monotonic() - begun < DEADLINE_S, f"{left} still lead to it"
            return Left(first, time.monotonic() - begun)

        found = []
        for _ in range(ROUNDS):
            until(lambda: both(vips) == count, DEADLINE_S, "both serve")
            with flap.ready(f"/var/run/netns/{daemon.name('one')}") as pull:
                found.append(leaves(pull))
        return found


if __name__ == "__main__":
    main()

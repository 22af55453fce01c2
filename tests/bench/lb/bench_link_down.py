"""A member's link goes down under a daemon: from there until nothing new is led to the member.

What is looked at is the kernel's own table in the client's sandbox. The checks are seconds apart,
so that they are not what noticed.
"""

import asyncio
import os
import statistics
import time
from contextlib import closing
from ipaddress import ip_address

from lb import table
from lb.kernel.nftables import NftablesKernel
from sdd.linux import namespaces
from tests.bench.lb import flap
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance, until

ROUNDS = 3 if os.environ.get("BENCH_SHORT") else 9
BOUND_S = 0.2
DEADLINE_S = 30
OPTIONS = ("--health", "tcp:80", "--health-interval", "5s", "--health-rise", "1")


def main() -> None:
    """Prints the row."""
    daemon = Appliance("cable", "--metrics-addr", "off", "--lb-backend", "nftables")
    try:
        daemon.start()
        found = measured(daemon)
    finally:
        daemon.close()
    row(
        Row(
            what="a member's link down, until nothing new is led to it",
            ours=statistics.median(found) * 1000,
            peer=BOUND_S * 1000,
            peer_name="the bound",
            unit="ms",
            goal=1.0,
        )
    )


def measured(daemon: Appliance) -> list[float]:
    """Seconds of each round."""
    daemon.sdctl("network", "create", "front")
    for name in ("client", "one", "two"):
        daemon.sandbox(name, "--network", "front")
    daemon.sdctl("service", "create", "web", "--network", "front", *OPTIONS)
    for name in ("one", "two"):
        daemon.program(name, "busybox", "httpd", "-f", "-p", "80", "-h", "/")
        daemon.sdctl("service", "join", "web", daemon.name(name))
    vip = ip_address(daemon.json("service", "inspect", "web")[0]["VIPs"][0])
    place = table.Place(netns=f"/var/run/netns/{daemon.name('client')}")
    with closing(namespaces.Namespaces()) as doors, asyncio.Runner() as runner:
        kernel = NftablesKernel(doors)

        def led_to() -> int:
            shown = runner.run(kernel.read(place, [vip])).services[vip]
            return len(shown.open)

        found = []
        for _ in range(ROUNDS):
            until(lambda: led_to() == 2, DEADLINE_S, "both serve")
            with flap.ready(f"/var/run/netns/{daemon.name('one')}") as pull:
                begun = time.monotonic()
                pull()
                while led_to() == 2:
                    assert time.monotonic() - begun < DEADLINE_S, "it is never noticed"
                found.append(time.monotonic() - begun)
        return found


if __name__ == "__main__":
    main()

"""Memory of 1000 sandboxes on one network of 1000 names, against the promised bound.

Ours is what `sdd` and its DNS worker together take more than with one sandbox (PSS: pages that
both share count once). The peer is the bound itself. Shortened, fewer sandboxes have their share
of it.
"""

import http.client
import json
import os

from tests.bench.daemon.bench_idle_memory import measured
from tests.bench.daemon.bench_sandbox_create import UnixConnection
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance, appliance

MOST = 1000
COUNT = 250 if os.environ.get("BENCH_SHORT") else MOST
BOUND_MIB = 60


def create(link: http.client.HTTPConnection, name: str) -> None:
    body = json.dumps({"name": name, "attachments": [{"network": "wide"}]})
    link.request("POST", "/v1/sandboxes", body, {"Content-Type": "application/json"})
    reply = link.getresponse()
    text = reply.read()
    assert reply.status == http.client.CREATED, text


def total(daemon: Appliance) -> float:
    """MiB of both processes."""
    return sum(each["Pss"] for each in measured(daemon).values())


def main() -> None:
    """Prints the row."""
    with appliance("wide") as daemon:
        daemon.sdctl("network", "create", "wide", "--subnet", "10.96.0.0/16")
        link = UnixConnection(daemon.url.removeprefix("unix://"))
        create(link, daemon.name("m0"))
        one = total(daemon)
        for number in range(1, COUNT):
            create(link, daemon.name(f"m{number}"))
        more = total(daemon) - one
        link.close()
    row(
        Row(
            what=f"{COUNT} sandboxes on one network, more than one, PSS",
            ours=more,
            peer=BOUND_MIB * COUNT / MOST,
            peer_name="the bound",
            unit="MiB",
            goal=1.0,
        )
    )


if __name__ == "__main__":
    main()

"""A host with 50 000 routes: what `network create` looks at, against `ip route`, in the same run.

Ours finds the routes that share addresses with the default pools; `ip` lists all to a file.
"""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from netns.kernel import host_routes
from sdd.alloc.pools import DEFAULT_POOLS
from sdd.linux import namespaces
from tests.bench import report

ROUTES = 50_000
TIMES = 3 if os.environ.get("BENCH_SHORT") else 9
POOLS = [template.base for template in DEFAULT_POOLS]


def host(path: str, batch: Path) -> None:
    """Routes to 10.0.0.0/24 and on, over a gateway."""
    lines = ["link add up0 type bridge", "link set up0 up", "addr add 192.0.2.1/24 dev up0"]
    places = (f"10.{at >> 8}.{at & 255}.0/24" for at in range(ROUTES))
    lines += [f"route add {place} via 192.0.2.2" for place in places]
    batch.write_text("\n".join(lines))
    subprocess.run(["nsenter", f"--net={path}", "ip", "-batch", str(batch)], check=True)


def milliseconds(work: Callable[[], object]) -> float:
    """The median of a few times."""
    found = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)


def main() -> None:
    """One row."""
    doors = namespaces.Namespaces(workers=1)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/t-routes"
        doors.create_sync(path)
        try:
            host(path, Path(folder, "batch"))
            listing = ["nsenter", f"--net={path}", "ip", "route", "show", "table", "all"]
            with Path(folder, "out").open("wb") as out:
                peer = milliseconds(lambda: subprocess.run(listing, stdout=out, check=True))
            ours = milliseconds(lambda: doors.run_sync(path, lambda: host_routes.read(POOLS)))
        finally:
            doors.delete_sync(path)
            doors.close()
    report.row(
        report.Row(
            what=f"routes of a host with {ROUTES} read",
            ours=ours,
            peer=peer,
            peer_name="ip route",
            unit="ms",
            goal=3,
        )
    )


if __name__ == "__main__":
    main()

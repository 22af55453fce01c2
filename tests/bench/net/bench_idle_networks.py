"""What a hundred networks cost an idle daemon: memory and descriptors, against promised bounds."""

from pathlib import Path

from sdd.client import Client
from tests.bench.daemon.bench_idle_memory import measured
from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance, appliance

NETWORKS = 100
BOUND_MIB = 120
DESCRIPTORS_EACH = 3


def descriptors(daemon: Appliance) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in daemon.pids())


def main() -> None:
    """Two rows; the peer is what was promised."""
    with appliance("networks") as daemon:
        before = descriptors(daemon)
        client = Client(daemon.url, 60)
        for number in range(NETWORKS):
            subnet = {"subnet": f"10.240.{number}.0/24"}
            client.post("/v1/networks", {"name": f"n{number}", "pools": [subnet]})
        memory = sum(each["Rss"] for each in measured(daemon).values())
        found = {
            f"{NETWORKS} networks idle, RSS": (memory, BOUND_MIB, "MiB"),
            f"{NETWORKS} networks, descriptors": (
                descriptors(daemon) - before,
                NETWORKS * DESCRIPTORS_EACH,
                "",
            ),
        }
    for what, (have, bound, unit) in found.items():
        row(Row(what=what, ours=have, peer=bound, peer_name="the bound", unit=unit, goal=1.0))


if __name__ == "__main__":
    main()

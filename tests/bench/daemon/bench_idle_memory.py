"""Resident memory of an idle `sdd` and its DNS worker together, against the promised bound.

The peer is the bound itself (120 MiB): the row shows how much of it is used. RSS counts pages
shared by both processes twice; PSS, printed too, counts them once.
"""

from pathlib import Path

from tests.bench.report import Row, row
from tests.e2e.appliance import Appliance, appliance

BOUND_MIB = 120


def rollup(pid: int) -> dict[str, float]:
    """Field → MiB of `/proc/PID/smaps_rollup` (proc(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    pairs = (line.split()[:2] for line in lines)
    return {name.rstrip(":"): int(kib) / 1024 for name, kib in pairs}


def measured(daemon: Appliance) -> dict[int, dict[str, float]]:
    return {pid: rollup(pid) for pid in daemon.pids()}


def main() -> None:
    """Prints the row and each process's share."""
    with appliance("idle") as daemon:
        daemon.sdctl("network", "create", "idle")
        for name in ("a", "b"):
            daemon.sandbox(name, "--network", "idle")
        found = measured(daemon)
        for pid, each in found.items():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            print(f"  {pid} {command[:60]}: RSS {each['Rss']:.1f} MiB, PSS {each['Pss']:.1f} MiB")
    for field, title in (("Rss", "RSS"), ("Pss", "PSS")):
        total = sum(each[field] for each in found.values())
        row(
            Row(
                what=f"idle sdd and worker, {title}",
                ours=total,
                peer=BOUND_MIB,
                peer_name="the bound",
                unit="MiB",
                goal=1.0,
            )
        )


if __name__ == "__main__":
    main()

"""A8-79: more questions than the server can answer must not make it answer fewer.

resperf sends at a rate that grows to twice the peak and does not wait for answers; one processor
is the server's, the other resperf's. Ours is what is answered a second near twice the peak, the
peer the peak itself: the best second of a ramp before. dnsmasq and unbound take their turns.
"""

import itertools
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import report
from tests.bench.dns import lab, ours, peers

NAMES = {f"web{n}": f"10.60.{n // 256}.{n % 256}" for n in range(1000)}
RAMP_S = 6 if lab.SHORT else 20
GOAL = 0.8
MOST = 400_000  # questions a second: beyond the peak of any server here
TWICE = 2.0
LATE = 0.85  # of the most that was sent: close to twice the peak


def main() -> None:
    """A row for ours; what others do is printed beside it."""
    with tempfile.TemporaryDirectory() as name, lab.scratch("ramp") as space:
        folder = Path(name)
        with (
            ours.worker(space, NAMES) as worker,
            peers.dnsmasq(space, folder, "web0", NAMES) as dnsmasq,
            peers.unbound(space, folder, "web0", NAMES) as unbound,
        ):
            many = lab.shuffled(NAMES, folder / "many")
            for each in () if lab.SHORT else (dnsmasq, unbound):
                peak, sent, end = beyond(each, many, folder)
                print(f"  {each.name} at {sent / peak:.1f} times its peak: {end / peak:.2f} of it")
            peak, sent, end = beyond(lab.ready(worker, "web0"), many, folder)
    report.row(
        report.Row(
            what=f"answers at {sent / peak:.1f} times the peak load",
            ours=end,
            peer=peak,
            peer_name="the peak",
            unit="q/s",
            goal=GOAL,
            better=report.Better.HIGHER,
        )
    )


def beyond(server: lab.Server, queries: Path, folder: Path) -> tuple[float, float, float]:
    """A second: answers at the peak, questions at the most, and what was answered of those."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(server.pid, {first})
    halves = [answered for _, answered in ramp(server, queries, folder, MOST, second)]
    peak = max(map(statistics.mean, itertools.pairwise(halves)))
    late = ramp(server, queries, folder, TWICE * peak, second)
    sent = [load for load, _ in late]
    end = [answered for load, answered in late if load >= LATE * max(sent)]
    return peak, max(sent), statistics.mean(end)


def ramp(
    server: lab.Server, queries: Path, folder: Path, most: float, processor: int
) -> Sequence[tuple[float, float]]:
    """(questions, answers) a second, for each half second of a ramp up to `most` a second."""
    plot = folder / "ramp"
    lab.run(
        *server.enter,
        *("taskset", "-c", str(processor)),
        *("resperf", "-s", server.host, "-p", str(server.port), "-d", str(queries)),
        *("-r", str(RAMP_S), "-c", "0", "-m", f"{most:.0f}", "-L", "100", "-q", "65536"),
        *("-C", "8", "-i", "0.5", "-P", str(plot), "-R", "-F", "0", "-t", "0.5"),
    )
    rows = (line.split() for line in plot.read_text().splitlines() if not line.startswith("#"))
    return [(float(actual), float(answered)) for _, _, actual, answered, *_ in rows]


if __name__ == "__main__":
    main()

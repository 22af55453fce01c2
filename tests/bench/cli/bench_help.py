"""How long `sdctl --help` takes, against the bound of 150 ms and a Python that does nothing.

Wall time of the whole process, the median of 15 runs each, taken in turns so that a busy machine
slows both alike.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.report import Row, row

SDCTL = Path(sys.executable).parent / "sdctl"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}  # this checkout
RUNS = 15
BOUND_MS = 150.0
COMMANDS: Sequence[tuple[str, list[str]]] = (
    ("--help", [str(SDCTL), "--help"]),
    ("network create --help", [str(SDCTL), "network", "create", "--help"]),
    ("python3 -c pass", [sys.executable, "-c", "pass"]),
)


def taken_ms(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Prints three rows: two against the bound, one against the bare interpreter."""
    for _, command in COMMANDS:
        taken_ms(command)  # the first run writes the byte code
    runs = [[taken_ms(command) for _, command in COMMANDS] for _ in range(RUNS)]
    top, verb, bare = (statistics.median(column) for column in zip(*runs, strict=True))
    for what, found in (("--help", top), ("network create --help", verb)):
        row(
            Row(
                what=f"sdctl {what}",
                ours=found,
                peer=BOUND_MS,
                peer_name="the bound",
                unit="ms",
                goal=1.0,
            )
        )
    row(
        Row(
            what="sdctl --help",
            ours=top,
            peer=bare,
            peer_name="python3 -c pass",
            unit="ms",
            goal=10.0,
        )
    )


if __name__ == "__main__":
    main()

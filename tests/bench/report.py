"""How a benchmark says what it found: one row a comparison, ours and the peer's of the same run.

Every `bench_*.py` has a `main()` that calls `row` for each comparison. With BENCH_JSON set, rows
are also appended there as JSON lines, from which `./run-tests bench` prints its table. Nothing
fails on a number: the goal is shown beside the ratio for people to judge.
"""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class Better(StrEnum):
    """Which way a goal is meant."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`ratio` is ours divided by the peer's; `goal` bounds it from above (LOWER) or below."""

    what: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    goal: float
    better: Better = Better.LOWER

    @property
    def ratio(self) -> float:
        return self.ours / self.peer if self.peer else float("inf")

    @property
    def reached(self) -> bool:
        return self.ratio <= self.goal if self.better is Better.LOWER else self.ratio >= self.goal


def row(found: Row) -> None:
    """Prints the comparison and, where asked, keeps it for the table."""
    sign = "≤" if found.better is Better.LOWER else "≥"
    verdict = "reached" if found.reached else "MISSED"
    print(
        f"{found.what}: ours {found.ours:.4g} {found.unit}, {found.peer_name} "
        f"{found.peer:.4g} {found.unit}, ratio {found.ratio:.3f} (goal {sign} {found.goal:g}: {verdict})",
        flush=True,
    )
    if target := os.environ.get("BENCH_JSON"):
        kept = asdict(found) | {"ratio": found.ratio, "reached": found.reached}
        with Path(target).open("a") as file:
            file.write(json.dumps(kept) + "\n")

"""Runs every benchmark and prints their rows as one table. No number fails; a crash does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab import count, guest

IN_THE_GUEST = "tests.bench.vm."  # what needs the lab kernel: one boot each, minutes of emulation


def modules(root: Path) -> list[str]:
    """`tests.bench.….bench_*`, sorted."""
    files = sorted((root / "tests" / "bench").rglob("bench_*.py"))
    return [".".join(file.relative_to(root).with_suffix("").parts) for file in files]


def run(root: Path, out: Path, room: tuple[str, ...] = (), *, short: bool) -> count.Count:
    """One process a module, behind `room`, so that none measures the garbage of another."""
    out.unlink(missing_ok=True)
    env = os.environ | {"BENCH_JSON": str(out)} | ({"BENCH_SHORT": "1"} if short else {})
    total = count.Count()
    for module in modules(root):
        if short and module.startswith(IN_THE_GUEST):
            continue
        print(f"-- {module}", flush=True)
        if module.startswith(IN_THE_GUEST):
            status = _in_the_guest(root, out, module)
        else:
            words = (*room, sys.executable, "-m", module)
            status = subprocess.run(
                words, cwd=root, env=env, stdin=subprocess.DEVNULL, check=False
            ).returncode
        if status:
            print(f"{module} failed")
            total += count.FAILED
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    print("", *table(rows), sep="\n")
    return total


def _in_the_guest(root: Path, out: Path, module: str) -> int:
    """Exit status; the rows are put beside the others'."""
    folder = out.parent / "vm"
    rows = folder / "bench.jsonl"
    rows.unlink(missing_ok=True)
    status = guest.bench(root, folder, module)
    if rows.exists():
        with out.open("a") as file:
            file.write(rows.read_text())
    return status


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A line a comparison, columns aligned."""
    head = ("what", "ours", "peer", "unit", "ratio", "goal", "")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    sign = "≤" if row["better"] == "lower" else "≥"
    return (
        row["what"],
        f"{row['ours']:.4g}",
        f"{row['peer']:.4g} ({row['peer_name']})",
        row["unit"],
        f"{row['ratio']:.3f}",
        f"{sign} {row['goal']:g}",
        "reached" if row["reached"] else "MISSED",
    )

"""`python -m tests.lab.guest_part`: the tests of the lab kernel as a process of its own."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab import guest, order

ROOT = Path(__file__).parents[2]
OUT = ROOT / ".lab"
REPORT = OUT / "vm" / "vm.xml"


def status(words: Sequence[str]) -> int:
    """Exit status of the guest's pytest, which wrote REPORT."""
    return guest.run(ROOT, OUT / "vm", (*words, *order.chosen(words)))


if __name__ == "__main__":
    sys.exit(status(()))

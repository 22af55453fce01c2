"""The worker's clock runs on while the machine sleeps."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel
ROOT = Path(__file__).parents[3]
NIGHT_S = 28_800
SHOWN = "import time; from resolver import clock; print(clock.now() - time.monotonic())"


def ahead_s(*options: str) -> float:
    """How far the worker's clock is ahead of the one that stands still, in a time namespace."""
    words = ("unshare", "--fork", "--time", *options, sys.executable, "-c", SHOWN)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def test_A2_a_night_asleep_is_a_night_older() -> None:
    # Between its looks at the two clocks a process may be stopped for a while.
    assert abs(ahead_s("--boottime", str(NIGHT_S)) - ahead_s() - NIGHT_S) < NIGHT_S / 10

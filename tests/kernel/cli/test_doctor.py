"""The doctor on a real kernel: what works is seen to work, and nothing of it is left."""

import subprocess
from pathlib import Path

import pytest

from sdd.cli.probes import kernel
from sdd.cli.probes.finding import Verdict

pytestmark = pytest.mark.kernel


def traces() -> str:
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    links = sorted(path.name for path in Path("/sys/class/net").iterdir())
    return f"{links} {tables.stdout} {Path('/proc/self/mountinfo').read_text()}"


def test_each_facility_is_tried_for_real_and_nothing_is_left() -> None:
    before = traces()
    found = {each.name: each for each in kernel.findings()}
    assert found.keys() == {"kernel.netns"} | {each.name for each in kernel.FACILITIES}
    works = ("netns", "bridge", "veth", "nftables", "nft_raw", "nft_spread")
    for name in (*works, "nft_fib", "nft_reject", "nft_log", "conntrack"):
        assert found[f"kernel.{name}"].verdict is Verdict.PASS, found[f"kernel.{name}"].says
    assert traces() == before


def test_a_facility_that_is_not_there_is_told_with_the_kernels_words(tmp_path: Path) -> None:
    missing = kernel.Facility(
        "kernel.none", "nothing", True, "", "", "none", lambda: kernel._link("sdd-none", "x")
    )
    problems = kernel._tried([missing])
    found = kernel.judged(missing, problems["kernel.none"], "6.1", tmp_path)
    assert found.verdict is Verdict.FAIL
    assert "not supported" in found.says

"""The fuzz targets: every seed of the corpus, then as many new bytes as time allows.

`./run-tests fuzz` gives each target five minutes, the usual run three seconds with a fixed seed;
`--fuzz-seconds N` says otherwise. The report has how many inputs were tried, as `inputs-TARGET`.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
SECONDS = 300 if LONG else 3
MOST_BYTES = 4096
HANGS_S = 60  # of the machine's time; of the processor's an input has `run.MOST_S`
SEEDS = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_A8_41_to_50_every_seed_is_taken(seed: Path) -> None:
    TARGETS[seed.parent.name](bytes.fromhex(seed.read_text()))


def test_every_target_has_seeds() -> None:
    assert {seed.parent.name for seed in SEEDS} == set(TARGETS)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_A8_49_no_bytes_upset_it(
    name: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    seconds = pytestconfig.getoption("fuzz_seconds") or SECONDS
    folder = tmp_path / "corpus"
    folder.mkdir()
    for seed in (CORPUS / name).iterdir():
        (folder / seed.name).write_bytes(bytes.fromhex(seed.read_text()))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.run",
            name,
            str(folder),
            f"-max_total_time={seconds}",
            f"-max_len={MOST_BYTES}",
            f"-timeout={HANGS_S}",
            f"-seed={0 if LONG else 1}",
            "-print_final_stats=1",
            f"-artifact_prefix={tmp_path}/",
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=seconds + 120,
    )
    found = {path.name: path.read_bytes().hex() for path in tmp_path.glob("*-*")}
    shutil.rmtree(folder)
    assert done.returncode == 0, f"{found}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "cov:" in done.stderr, "nothing was instrumented"
    tried = re.search(r"^stat::number_of_executed_units: *(\d+)$", done.stderr, re.MULTILINE)
    assert tried is not None
    record_testsuite_property(f"inputs-{name}", int(tried[1]))

"""The parts of ./run-tests: which commands each one runs and what they counted."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import benches, beside, count, guest_part, order, skips

ROOT, OUT = guest_part.ROOT, guest_part.OUT
BIN = Path(sys.prefix) / "bin"
ROOM = str(ROOT / "tests" / "lab" / "room")
PURE = tuple(
    f"tests/{name}" for name in ("unit", "property", "contract", "scenario", "fuzz", "meta")
)
CHECKS = (
    ("ruff", "format", "--check", "--quiet", "."),
    ("ruff", "check", "--quiet", "."),
    ("mypy",),
    ("lint-imports",),
)
NO_TESTS = 5  # pytest's exit status when it found none


@dataclass(frozen=True, slots=True)
class Part:
    """`run` takes what the caller hands to pytest."""

    name: str
    what: str
    run: Callable[[Sequence[str]], count.Count]


def command(*words: str, **env: str) -> int:
    """Exit status; output goes where ours goes."""
    sys.stdout.flush()
    return subprocess.run(
        words, cwd=ROOT, stdin=subprocess.DEVNULL, env=os.environ | env, check=False
    ).returncode


def pytest(name: str, *words: str, room: bool = False, **env: str) -> count.Count:
    """One run of pytest, counted; one that ends without a report is a failure."""
    junit = OUT / f"{name}.xml"
    junit.unlink(missing_ok=True)
    words = (*words, *order.chosen(words))
    python = (*([ROOM] if room else []), str(BIN / "python"), "-m", "pytest", "-q")
    status = command(*python, f"--junit-xml={junit}", *words, **env)
    return counted(name, junit, status)


def counted(name: str, junit: Path, status: int) -> count.Count:
    """Never good when pytest's exit status was not."""
    if not junit.exists():
        print(f"{name}: pytest ended with {status} and no report")
        return count.FAILED
    found = count.read(junit, tuple(skips.ALLOWED))
    if status not in (0, NO_TESTS) and not found.failed:
        print(f"{name}: pytest ended with {status}")
        return found + count.FAILED
    return found


def unit(words: Sequence[str]) -> count.Count:
    total = count.Count()
    for check in CHECKS if not words else ():
        if command(str(BIN / check[0]), *check[1:]):
            print(f"unit: {' '.join(check)} failed")
            total += count.FAILED
    return total + pytest("unit", *PURE, "-m", "not kernel and not e2e and not vm", *words)


def kernel(words: Sequence[str]) -> count.Count:
    return pytest("kernel", "tests", "-m", "kernel", *words, room=True)


def e2e(words: Sequence[str]) -> count.Count:
    return pytest("e2e", "tests/e2e", "-m", "e2e", *words, room=True)


def vm(words: Sequence[str]) -> count.Count:
    return counted("vm", guest_part.REPORT, guest_part.status(words))


GUEST = beside.Beside((str(BIN / "python"), "-m", "tests.lab.guest_part"), OUT / "vm.log")


def vm_beside(_: Sequence[str]) -> count.Count:
    """The end of what `GUEST.start` began."""
    return counted("vm", guest_part.REPORT, GUEST.wait())


def bench(_: Sequence[str]) -> count.Count:
    return benches.run(ROOT, OUT / "bench.jsonl", (ROOM,), short=False)


def short_bench(_: Sequence[str]) -> count.Count:
    return benches.run(ROOT, OUT / "bench.jsonl", (ROOM,), short=True)


def fuzz(words: Sequence[str]) -> count.Count:
    folders = [path for path in ("tests/property", "tests/fuzz") if (ROOT / path).is_dir()]
    return pytest("fuzz", *folders, "--timeout=3600", *words, HYPOTHESIS_PROFILE="fuzz")


PARTS = {
    part.name: part
    for part in (
        Part("unit", "format, lint, types, imports, tests without a kernel", unit),
        Part("kernel", "tests in namespaces of their own", kernel),
        Part("e2e", "the installed sdd and sdctl", e2e),
        Part("vm", "the lab kernel under QEMU", vm),
        Part("bench", "ours beside its peers", bench),
        Part("fuzz", "fuzz targets and property tests, for long", fuzz),
    )
}
# The guest begins first, on the processor that unit and kernel leave free, and ends before what is
# more about time: traffic and benchmarks.
ALL = (
    PARTS["unit"],
    PARTS["kernel"],
    Part("vm", "the lab kernel under QEMU, begun beside the others", vm_beside),
    PARTS["e2e"],
    Part("bench", "ours beside its peers, shortened", short_bench),
)


def prepare() -> None:
    """An empty folder for reports."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()

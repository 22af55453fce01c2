"""The files of this checkout that version control knows."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("sdd", "resolver", "lb", "netns", "metrics")


def files(*patterns: str) -> list[Path]:
    """Tracked and still present, sorted; all of them without a pattern."""
    # A checkout of another user's is fine to read, which git refuses unless told.
    command = ("git", "-c", "safe.directory=*", "ls-files", "-z", "--", *patterns)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(
        path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()
    )


def product() -> list[Path]:
    """The Python files that are installed."""
    return files(*(f"{package}/**/*.py" for package in PRODUCT), *(f"{p}/*.py" for p in PRODUCT))


def name(path: Path) -> str:
    """As people write it."""
    return str(path.relative_to(ROOT))

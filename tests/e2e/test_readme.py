"""Every command that README and the docs show in a console block runs, in the order shown."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.appliance import BIN, Appliance, appliance

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The lines a reader would type: those after the root prompt, continued lines joined."""
    text = "".join(BLOCK.findall(page.read_text())).replace("\\\n", " ")
    return [line[2:] for line in text.splitlines() if line.startswith("# ")]


PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if commands(page)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_works(page: Path) -> None:
    with appliance(f"doc{PAGES.index(page)}") as daemon:
        for command in commands(page):
            done = typed(daemon, command)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def typed(daemon: Appliance, command: str) -> subprocess.CompletedProcess[str]:
    """The command in a root shell of the host on which the daemon runs."""
    environment = os.environ | {
        "SDD_HOST": daemon.url,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "SDD_E2E": str(daemon.root),
    }
    return subprocess.run(
        ["nsenter", f"--net=/run/netns/{daemon.host}", "sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
        stdin=subprocess.DEVNULL,
    )

"""One server per test, in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sdd.api.appliance import Appliance
from tests.unit.sdd.cli.typed import Shell, running


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """What a user types, and what it prints."""
    appliance = Appliance(tmp_path)
    with running(appliance, tmp_path / "s") as url:
        yield Shell(appliance, url, capsys.readouterr)

"""The daemon's command: how it ends."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdd import app


@pytest.fixture
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
@pytest.mark.parametrize(("text", "code"), [("{}", 0), ("[]", 1)])
def test_the_interpreter_does_not_look_through_all_objects_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: int
) -> None:
    """However the command ends: that look took 0.2 to 0.6 s of every stop."""
    file = tmp_path / "daemon.json"
    file.write_text(text)
    monkeypatch.setattr("sys.argv", ["sdd", "--config", str(file), "--validate"])
    assert gc.get_freeze_count() == 0
    try:
        app.main()
        ended = 0
    except SystemExit as exc:
        ended = int(str(exc.code))
    assert (ended, gc.get_freeze_count() > 10_000) == (code, True)

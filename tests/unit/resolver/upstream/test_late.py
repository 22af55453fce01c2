"""What is loaded before a worker gives up its rights, for it could not be read later."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.upstream import late


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that everybody may read."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    made = place / "late_package"
    made.mkdir()
    (made / "__init__.py").touch()
    for each in (place, made):
        each.chmod(0o755)
    (made / "__init__.py").chmod(0o644)
    monkeypatch.syspath_prepend(str(place))
    yield made
    shutil.rmtree(place)


def test_what_everybody_may_read_can_wait(package: Path) -> None:
    assert late._is_public(package.name)


@pytest.mark.parametrize(("what", "mode"), [(".", 0o750), ("..", 0o700), ("__init__.py", 0o640)])
def test_what_is_hidden_anywhere_on_the_way_cannot(package: Path, what: str, mode: int) -> None:
    (package / what).chmod(mode)
    assert not late._is_public(package.name)


def test_what_is_not_there_cannot() -> None:
    assert not late._is_public("no_such_package")

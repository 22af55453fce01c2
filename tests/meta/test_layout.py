"""Where things are, and that nothing is used that nobody argued for."""

import re
import tomllib

from tests.lab import benches
from tests.meta import tracked

PROJECT = tomllib.loads((tracked.ROOT / "pyproject.toml").read_text())["project"]


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in tracked.files("tests") if path.suffix == ".py"}
    assert [tracked.name(each) for each in folders if not (each / "__init__.py").is_file()] == []


def test_every_test_is_found_by_its_name() -> None:
    """A function `test_…` in a file that pytest does not collect never runs."""
    lost = [
        tracked.name(path)
        for path in tracked.files("tests")
        if path.suffix == ".py" and not path.name.startswith(("test_", "conftest"))
        if re.search(r"^(async )?def test_", path.read_text(), re.MULTILINE)
    ]
    assert lost == []


def test_every_dependency_has_its_reason() -> None:
    lines = (tracked.ROOT / "docs" / "dependencies.md").read_text().splitlines()
    explained = {match[1] for line in lines if (match := re.match(r"\| `([\w.-]+)` \|", line))}
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(each for extra in extras for each in extra)]
    names = {re.split(r"[<>=!~\[; ]", each, maxsplit=1)[0] for each in wanted}
    assert names - explained == set()


def test_every_benchmark_can_be_run() -> None:
    modules = benches.modules(tracked.ROOT)
    assert modules
    for module in modules:
        path = tracked.ROOT / (module.replace(".", "/") + ".py")
        text = path.read_text()
        assert "def main(" in text, module
        assert 'if __name__ == "__main__":' in text, module

"""What is imported is declared: a package that only another one brought along may leave with it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from tests.meta import tracked

PROJECT = tomllib.loads((tracked.ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Import names that differ from the package's.
IMPORTED_AS = {"dnspython": "dns"}
OURS = {*tracked.PRODUCT, "tests"}


def modules(requirements: Iterable[str]) -> set[str]:
    names = [re.split(r"[<>=!~\[; ]", each, maxsplit=1)[0].lower() for each in requirements]
    return {IMPORTED_AS.get(name, name).replace("-", "_") for name in names}


def imported(paths: Iterable[Path]) -> set[str]:
    """Top-level modules that are neither ours nor Python's own."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


def test_the_product_imports_only_what_is_declared() -> None:
    declared = modules([*PROJECT["dependencies"], *EXTRAS["quic"]])
    assert imported(tracked.product()) - declared == set()


def test_tests_import_only_what_is_declared() -> None:
    declared = modules([*PROJECT["dependencies"], *EXTRAS["quic"], *EXTRAS["dev"]])
    files = [path for path in tracked.files("tests", "tools") if path.suffix == ".py"]
    assert imported(files) - declared == {"tools"}  # our own, which the product may not import

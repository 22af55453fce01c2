"""A file is one noun or one transformation; a function fits a glance."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.meta import tracked

FILE_LINES = 400
FUNCTION_LINES = 60


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_something_to_measure() -> None:
    assert len(tracked.product()) > 50


def test_product_files_are_short() -> None:
    lengths = {tracked.name(path): path.read_text().count("\n") for path in tracked.product()}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_files_of_tests_and_tools_are_short() -> None:
    paths = tracked.files("tests/*.py", "tools/*.py")  # `*` of git matches `/` too
    lengths = {tracked.name(path): path.read_text().count("\n") for path in paths}
    assert len(lengths) > 200
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_product_functions_are_short() -> None:
    found = {
        f"{tracked.name(path)}:{each.name}": (each.end_lineno or each.lineno) - each.lineno + 1
        for path in tracked.product()
        for each in functions(path)
    }
    assert {name: lines for name, lines in found.items() if lines > FUNCTION_LINES} == {}

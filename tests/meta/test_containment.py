"""A broad `except` swallows mistakes: it stands where docs/decisions/005 says, and nowhere else."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.meta import tracked

BROAD = {"Exception", "BaseException"}
# The one mechanism (an object's failure, a unit's end), and the two boundaries that make an
# outcome and an answer of it; the selector's is what `with` is elsewhere, for speed.
ALLOWED = {
    "sdd/contained.py": 2,
    "sdd/reconcile.py": 1,
    "sdd/api/server.py": 1,
    "resolver/listen/selector.py": 1,
}
HOLDS = {"sdd/defects.py"}


def names(kind: ast.expr | None) -> Iterator[str]:
    """The classes that a handler takes; a bare one takes all."""
    if kind is None:
        yield "BaseException"
    for each in ast.walk(kind) if kind is not None else ():
        if isinstance(each, ast.Name | ast.Attribute):
            yield each.id if isinstance(each, ast.Name) else each.attr


def is_swallowing(node: ast.AST) -> bool:
    """Whether it ends whatever is raised; who tidies up and raises it again does not."""
    if isinstance(node, ast.ExceptHandler):
        return bool(BROAD & {*names(node.type)}) and not isinstance(node.body[-1], ast.Raise)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        return "suppress" in names(node.func) and any(BROAD & {*names(a)} for a in node.args)
    return False


def swallowing(text: str) -> int:
    return sum(map(is_swallowing, ast.walk(ast.parse(text))))


def holds(path: Path) -> bool:
    """Whether a class in it may end exceptions as a context manager."""
    return any(
        isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and each.name in ("__exit__", "__aexit__")
        and not (isinstance(each.returns, ast.Constant) and each.returns.value is None)
        for each in ast.walk(ast.parse(path.read_text()))
    )


def test_what_swallows_is_seen() -> None:
    for text in (
        "try: x()\nexcept: pass",
        "try: x()\nexcept Exception: pass",
        "try: x()\nexcept (OSError, builtins.BaseException) as exc: tell(exc)",
        "try: x()\nexcept* Exception: pass",
        "with contextlib.suppress(Exception): x()",
        "with suppress(OSError, BaseException): x()",
    ):
        assert swallowing(text) == 1, text
    for text in (
        "try: x()\nexcept OSError: pass",
        "try: x()\nexcept BaseException:\n  close()\n  raise",
        "with contextlib.suppress(OSError): x()",
    ):
        assert swallowing(text) == 0, text


def test_a_broad_except_stands_where_it_may() -> None:
    found = {tracked.name(path): swallowing(path.read_text()) for path in tracked.product()}
    assert {name: count for name, count in found.items() if count} == ALLOWED


def test_one_context_manager_ends_exceptions() -> None:
    assert {tracked.name(path) for path in tracked.product() if holds(path)} == HOLDS

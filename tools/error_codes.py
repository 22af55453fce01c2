"""Every error code in the source → the table of docs/errors.md: tools/error_codes.py writes it.

Reads the source as a tree, imports nothing of it: a code counts when it is the `code=` of a call, a
default of a class, or one of a table of codes.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("sdd", "resolver", "lb", "netns", "metrics")
CODE = re.compile(r"SDD-[A-Z0-9]+(?:-[A-Z0-9]+)*")
PAGE = ROOT / "docs" / "errors.md"
BEGIN, END = "<!-- codes -->\n", "<!-- /codes -->\n"


def main() -> None:
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + table(found()) + END + after)
    sys.stdout.write(f"{PAGE}: {len(found())} codes\n")


def found() -> Mapping[str, tuple[str, str]]:
    """Code → (kind of error, its sentence), the first of each in the order of the files."""
    seen: defaultdict[str, tuple[str, str]] = defaultdict(tuple)  # type: ignore[arg-type]
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for code, kind, sentence in _codes(ast.parse(path.read_text())):
                if not seen.get(code) or (sentence and not seen[code][1]):
                    seen[code] = (kind, sentence)
    return dict(sorted(seen.items()))


def table(codes: Mapping[str, tuple[str, str]]) -> str:
    lines = ["| code | kind | says |\n", "|---|---|---|\n"]
    lines += [f"| `{code}` | {kind} | {text} |\n" for code, (kind, text) in codes.items()]
    return "".join(lines)


def _codes(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """(code, class, sentence) of every place that has one."""
    for node in ast.walk(tree):
        match node:
            case ast.Call():
                yield from _call(node)
            case ast.ClassDef():
                yield from _defaults(node)


def _call(node: ast.Call) -> Iterator[tuple[str, str, str]]:
    for keyword in node.keywords:
        if keyword.arg == "code":
            for code in _texts(keyword.value):
                yield code, _name(node.func), _sentence(node)


def _defaults(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    doc = (ast.get_docstring(node) or "").splitlines()
    for each in node.body:
        if isinstance(each, ast.AnnAssign | ast.Assign) and each.value is not None:
            for code in _texts(each.value):
                yield code, node.name, (doc[0] if doc else "")


def _texts(node: ast.AST) -> Iterator[str]:
    """The codes in an expression; an f-string's holes are written as …, its parts are no codes."""
    match node:
        case ast.JoinedStr():
            if CODE.fullmatch(_template(node).replace("{}", "AREA")):
                yield _template(node).replace("{}", "…")
        case ast.Constant(value=str(text)):
            if CODE.fullmatch(text):
                yield text
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _texts(child)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _sentence(node: ast.Call) -> str:
    named = [each.value for each in node.keywords if each.arg == "sentence"]
    for each in (*node.args[:1], *named):
        match each:
            case ast.Constant(value=str(text)):
                return _cell(text)
            case ast.JoinedStr():
                return _cell(_template(each).replace("{}", "…"))
    return ""


def _template(node: ast.JoinedStr) -> str:
    parts = (each.value if isinstance(each, ast.Constant) else "{}" for each in node.values)
    return "".join(str(part) for part in parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()

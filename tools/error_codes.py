"""Every error code in the source → the table of docs/errors.md: tools/error_codes.py writes it.

Reads the source as a tree, imports nothing of it: a code counts when it is the `code=` of a call,
there or as a constant of a module, or a default of a class. tests/meta holds the page to it.
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
    """Code → (kinds of error, the first sentence there is), in the order of the files."""
    paths = [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py"))]
    trees = [(path.stem, ast.parse(path.read_text())) for path in paths]
    named = {f"{stem}.{name}": code for stem, tree in trees for name, code in _constants(tree)}
    kinds: defaultdict[str, dict[str, None]] = defaultdict(dict)
    sentences: dict[str, str] = {}
    for _, tree in trees:
        for code, kind, sentence in _codes(tree, named | dict(_constants(tree))):
            kinds[code][kind] = None
            sentences[code] = sentences.get(code) or sentence
    return {code: (", ".join(kinds[code]), sentences[code]) for code in sorted(kinds)}


def table(codes: Mapping[str, tuple[str, str]]) -> str:
    lines = ["| code | kind | says |\n", "|---|---|---|\n"]
    lines += [f"| `{code}` | {kind} | {text} |\n" for code, (kind, text) in codes.items()]
    return "".join(lines)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, code) of a module's constants that are codes."""
    for each in tree.body:
        match each:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text)))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text)))
            ) if CODE.fullmatch(text):
                yield name, text


def _codes(tree: ast.AST, named: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(code, class, sentence) of every place that has one; `named` are the constants it sees."""
    bases = dict(_bases(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Call():
                for code, kind, sentence in _call(node, named):
                    yield code, bases.get(kind, kind), sentence
            case ast.ClassDef():
                yield from _defaults(node)


def _bases(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(name, kind) of the classes of this file that are one of the kinds of error."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(
                name=name, bases=[ast.Attribute(value=ast.Name(id="errors"), attr=kind)]
            ):
                yield name, kind


def _call(node: ast.Call, named: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for keyword in node.keywords:
        if keyword.arg == "code":
            for code in _texts(keyword.value, named):
                yield code, _name(node.func), _sentence(node)


def _defaults(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    doc = (ast.get_docstring(node) or "").splitlines()
    for each in node.body:
        if isinstance(each, ast.AnnAssign | ast.Assign) and each.value is not None:
            for code in _texts(each.value, {}):
                yield code, node.name, (doc[0] if doc else "")


def _texts(node: ast.AST, named: Mapping[str, str]) -> Iterator[str]:
    """The codes in an expression; an f-string's holes are written as …, its parts are no codes."""
    match node:
        case ast.JoinedStr():
            if CODE.fullmatch(_template(node).replace("{}", "AREA")):
                yield _template(node).replace("{}", "…")
        case ast.Constant(value=str(text)):
            if CODE.fullmatch(text):
                yield text
        case ast.Name() | ast.Attribute():
            if code := named.get(ast.unparse(node)):
                yield code
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _texts(child, named)


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
    return re.sub("…+", "…", " ".join(text.split())).replace("|", "\\|")


if __name__ == "__main__":
    main()

"""Go's templates as far as listings and inspections need them: a template and a row → text. Pure.

Understood: {{.Key.Key}}, {{index .Map "key"}}, {{range}}, {{if}}, {{with}}, {{else}}, {{end}},
variables, pipes and the functions below (https://pkg.go.dev/text/template and Docker's own).
Not: named templates, methods.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sdd import errors

Scope = Mapping[str, Any]  # variables; "." is the dot and "$" the row
Part = Callable[[Scope], str]  # one piece of the template
Value = Callable[[Scope], Any]  # one expression

_ACTION = re.compile(r"\{\{(?P<before>-\s)?\s*(?P<words>.*?)\s*(?P<after>\s-)?\}\}", re.DOTALL)
_WORD = re.compile(
    r"""\s*(?P<word>"(?:\\.|[^"\\])*"|`[^`]*`|:=|[|(),]|-?\d+|\$?\w*(?:\.\w+)+|\$\w*|\.|\w+)"""
)
_LAST = "end"
_BRANCH = "else"


class Action(NamedTuple):
    """What stands between two pairs of braces, in words."""

    words: Sequence[str]


def fill(template: str, row: Mapping[str, Any], show: Callable[[object], str]) -> str:
    r"""The text; `show` makes one value printable. \t and \n of the template are understood.

    Raises Usage for what is no template, or asks for what is not in the row.
    """
    try:
        parts = _Reader(list(_pieces(template)), show).all()
    except (ValueError, IndexError):
        raise errors.Usage(
            f'the template "{template}" cannot be read',
            hint='such as {{.Key.Key}}, {{json .Key}}, {{index .Labels "key"}},'
            " {{range .Keys}}{{.Key}} {{end}}, {{if .Key}}…{{else}}…{{end}}",
        ) from None
    try:
        return _joined(parts, {".": row, "$": row})
    except (TypeError, ValueError, AttributeError, IndexError) as exc:
        raise errors.Usage(
            f'the template "{template}" does not fit: {exc}',
            hint=f"the keys there: {', '.join(sorted(row))}",
        ) from None


def _joined(parts: Sequence[Part], scope: Scope) -> str:
    return "".join(part(scope) for part in parts)


def _pieces(template: str) -> Iterator[str | Action]:
    """Text and actions in turn; `{{-` and `-}}` take the blanks beside them away."""
    at, is_trimmed = 0, False
    for found in _ACTION.finditer(template):
        yield _text(template[at : found.start()], is_trimmed, bool(found["before"]))
        yield Action(tuple(_words(found["words"])))
        at, is_trimmed = found.end(), bool(found["after"])
    rest = template[at:]
    if "{{" in rest:
        raise ValueError(rest)
    yield _text(rest, is_trimmed, False)


def _text(text: str, left: bool, right: bool) -> str:
    text = text.lstrip() if left else text
    text = text.rstrip() if right else text
    return text.replace("\\t", "\t").replace("\\n", "\n")


def _words(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            raise ValueError(text)
        yield found["word"]
        at = found.end()


class _Reader:
    """The pieces → parts. Raises ValueError or IndexError for what Go would not read either."""

    def __init__(self, pieces: list[str | Action], show: Callable[[object], str]) -> None:
        self._pieces = pieces
        self._show = show

    def all(self) -> Sequence[Part]:
        parts, ended = self._until()
        if ended:
            raise ValueError(ended)
        return parts

    def _until(self) -> tuple[list[Part], Sequence[str]]:
        """The parts before `end` or `else`, and the words of that; none at the end of all."""
        parts: list[Part] = []
        while self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, str):
                parts.append(functools.partial(_constant, piece))
            elif piece.words[0] in (_LAST, _BRANCH):
                return parts, piece.words
            else:
                parts.append(self._part(piece.words))
        return parts, ()

    def _part(self, words: Sequence[str]) -> Part:
        match words[0]:
            case "if" | "with" | "range" as kind:
                return self._block(kind, words[1:])
            case _ if ":=" in words:
                raise ValueError("variables belong to range, with and if")
            case _:
                value, show = _pipe(words), self._show
                return lambda scope: show(value(scope))

    def _block(self, kind: str, words: Sequence[str]) -> Part:
        names, words = _named(words)
        value = _pipe(words)
        body, ended = self._until()
        otherwise: Sequence[Part] = ()
        if list(ended[:1]) == [_BRANCH]:
            if ended[1:]:  # else if …: its `end` is ours
                otherwise = [self._part(ended[1:])]
                return functools.partial(_BLOCKS[kind], Block(value, names, body, otherwise))
            otherwise, ended = self._until()
        if list(ended) != [_LAST]:
            raise ValueError(kind)
        return functools.partial(_BLOCKS[kind], Block(value, names, body, otherwise))


def _constant(text: str, _scope: Scope) -> str:
    return text


def _named(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The variables before `:=`, and the words behind it."""
    if ":=" not in words:
        return (), words
    at = words.index(":=")
    names = [word for word in words[:at] if word != ","]
    if not all(re.fullmatch(r"\$\w+", name) for name in names):
        raise ValueError(words)
    return names, words[at + 1 :]


class Block(NamedTuple):
    """`{{if}}`, `{{with}}` or `{{range}}` with what it stands for and encloses."""

    value: Value
    names: Sequence[str]
    body: Sequence[Part]
    otherwise: Sequence[Part]

    def named(self, *values: Any) -> Scope:
        """The variables that get `values`: the last ones if there are fewer variables."""
        last = values[-len(self.names) :] if self.names else ()
        return dict(zip(self.names, last, strict=False))


def _if(block: Block, scope: Scope) -> str:
    found = block.value(scope)
    return _joined(block.body if found else block.otherwise, {**scope, **block.named(found)})


def _with(block: Block, scope: Scope) -> str:
    found = block.value(scope)
    if not found:
        return _joined(block.otherwise, scope)
    return _joined(block.body, {**scope, **block.named(found), ".": found})


def _range(block: Block, scope: Scope) -> str:
    """As in Go: the keys of a map in order; one variable is the value, two are key and value."""
    found = block.value(scope)
    if not isinstance(found, Mapping | list | tuple):
        raise TypeError(f"{found!r} cannot be ranged over")
    turns = sorted(found.items()) if isinstance(found, Mapping) else list(enumerate(found))
    if not turns:
        return _joined(block.otherwise, scope)
    return "".join(
        _joined(block.body, {**scope, **block.named(*turn), ".": turn[1]}) for turn in turns
    )


_BLOCKS: Mapping[str, Callable[[Block, Scope], str]] = {"if": _if, "with": _with, "range": _range}


def _pipe(words: Sequence[str]) -> Value:
    """Commands with | between: each gets the value of the one before as its last argument."""
    value: Value | None = None
    for command in _split(words):
        value = _command(command, value)
    if value is None:
        raise ValueError("nothing is said")
    return value


def _split(words: Sequence[str]) -> Iterator[Sequence[str]]:
    depth, start = 0, 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if word == "|" and not depth:
            yield words[start:at]
            start = at + 1
    yield words[start:]


def _command(words: Sequence[str], last: Value | None) -> Value:
    head, *rest = words
    if head in FUNCTIONS:
        arguments = list(_operands(rest)) + ([last] if last else [])
        function = FUNCTIONS[head]
        return lambda scope: function(*(each(scope) for each in arguments))
    (value,) = _operands(words)
    if last is not None:
        raise ValueError(head)
    return value


def _operands(words: Sequence[str]) -> Iterator[Value]:
    at = 0
    while at < len(words):
        if words[at] != "(":
            yield _operand(words[at])
            at += 1
            continue
        end = _closing(words, at)
        value = _pipe(words[at + 1 : end])
        at = end + 1
        if at < len(words) and re.fullmatch(r"(\.\w+)+", words[at]):  # (index .A 0).B
            yield functools.partial(_field, value, words[at])
            at += 1
        else:
            yield value


def _closing(words: Sequence[str], at: int) -> int:
    depth = 0
    for place in range(at, len(words)):
        depth += (words[place] == "(") - (words[place] == ")")
        if not depth:
            return place
    raise ValueError(words)


def _operand(word: str) -> Value:
    if word in _CONSTANTS or word[0] in '"`-' or word[0].isdigit():
        value = _CONSTANTS[word] if word in _CONSTANTS else _literal(word)
        return lambda _: value
    if word[0] not in "$.":
        raise ValueError(word)
    name, _, path = word.partition(".")
    return functools.partial(_field, lambda scope: _variable(scope, name or "."), f".{path}")


def _literal(word: str) -> object:
    return word[1:-1] if word[0] == "`" else json.loads(word)


def _variable(scope: Scope, name: str) -> Any:
    if name not in scope:
        raise ValueError(f"there is no variable {name}")
    return scope[name]


def _field(of: Value, path: str, scope: Scope) -> Any:
    value = of(scope)
    for key in filter(None, path.split(".")):
        try:
            value = value[key]
        except (KeyError, TypeError):
            raise ValueError(f'there is no "{path}" in it') from None
    return value


def _index(found: Any, *keys: Any) -> Any:
    """As in Go: nothing for a key that a map has not."""
    for key in keys:
        if isinstance(found, Mapping):
            found = found.get(key, "")
        elif isinstance(found, list | tuple) and isinstance(key, int) and 0 <= key < len(found):
            found = found[key]
        else:
            raise ValueError(f"there is no {key!r} in {json.dumps(found)}")
    return found


def _say(*values: Any) -> str:
    return " ".join(value if isinstance(value, str) else json.dumps(value) for value in values)


def _line(*values: Any) -> "Line":
    return Line(_say(*values) + "\n")


class Line(str):
    """Text whose end of line is the template's own."""

    __slots__ = ()


_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "nil": None}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "json": json.dumps,
    "index": _index,
    "len": len,
    "join": lambda values, gap: gap.join(map(str, values)),
    "split": lambda text, gap: text.split(gap),
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "print": _say,
    "println": _line,
    "eq": lambda one, *others: one in others,
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "not": lambda value: not value,
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
}

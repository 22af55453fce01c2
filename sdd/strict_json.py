"""Text → the one JSON value it is (RFC 8259), or `Broken` with a reason in our own words.

Stricter than Python's reader: no key twice, no NaN, no NUL and no half of a surrogate pair in a
text, no number that does not fit. What passes can be printed, stored and compared.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from sdd import errors

LARGEST: Final = (1 << 63) - 1  # what other programs' integers hold
_BOM: Final = "\ufeff"

# How Python's reader begins its sentences → ours.
_WORDS: Final = (
    ("Expecting property name", "a key in double quotes is missing"),
    ("Expecting ':'", 'a ":" is missing'),
    ("Expecting ','", 'a "," or the end is missing'),
    ("Expecting value", "a value is missing"),
    ("Extra data", "something follows its end"),
    ("Unterminated string", "a text has no end"),
    ("Invalid control character", "a text holds a raw control character"),
    ("Invalid \\", "a text holds an unknown escape"),
)


class Broken(ValueError):
    """The text is no JSON value; the reason is the end of a sentence."""


def load(data: bytes) -> object:
    """The value in `data`, of dicts, lists, str, int, float, bool and None. Raises Broken."""
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise Broken(f"it is not UTF-8 (byte {exc.start})") from None
    if text.startswith(_BOM):
        raise Broken("a byte order mark stands before it")
    try:
        found = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as exc:
        words = next(
            (ours for theirs, ours in _WORDS if exc.msg.startswith(theirs)), "it is broken"
        )
        raise Broken(f"{words} at line {exc.lineno}, column {exc.colno}") from None
    except RecursionError:
        raise Broken("it is nested too deeply") from None
    _check_texts(found)
    return found


def shown(value: object) -> str:
    """A value as JSON of a readable length; nothing of it can break a terminal or a log."""
    try:
        return errors.shortened(json.dumps(value))
    except RecursionError:
        return "something nested too deeply"


def _once(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise Broken(f"the key {shown(key)} stands there twice")
        found[key] = value
    return found


def _constant(word: str) -> NoReturn:
    raise Broken(f"{word} is no JSON value")


def _integer(digits: str) -> int:
    if len(digits) > len(str(-LARGEST)) or abs(found := int(digits)) > LARGEST:
        raise Broken(f"the number {errors.shortened(digits)} is too large")
    return found


def _float(digits: str) -> float:
    if not math.isfinite(found := float(digits)):
        raise Broken(f"the number {errors.shortened(digits)} is too large")
    return found


def _check_texts(value: object) -> None:
    """Every text can be written as UTF-8 and handed to the kernel."""
    left = [value]
    while left:
        match left.pop():
            case str(text):
                _check_text(text)
            case list(items):
                left += items
            case dict(entries):
                left += entries.keys()
                left += entries.values()


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Broken(f"the text {shown(text)} holds a NUL character")
    if any("\ud800" <= each <= "\udfff" for each in text):
        raise Broken(f"the text {shown(text)} holds half of a surrogate pair")

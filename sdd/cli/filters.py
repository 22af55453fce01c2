"""`-f KEY=VALUE` → a test of rows, with Docker's meaning.

Values of one key are alternatives, keys must all hold; labels must all hold. A name fits where the
value is found in it (a pattern, as in Docker: ^web), an id where the value is its beginning.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from sdd import errors
from sdd.cli.params import MOMENT

Row = Mapping[str, Any]
Values = Callable[[Row], Sequence[str]]
Rule = Callable[[Sequence[str], Sequence[str]], bool]
NO_RULES: Mapping[str, Rule] = {}


option = click.option("-f", "--filter", "wanted", multiple=True, metavar="K=V", help="Only those.")


def parse(
    given: Sequence[str], keys: Mapping[str, Values], rules: Mapping[str, Rule] = NO_RULES
) -> Callable[[Row], bool]:
    """The test; raises Usage for a filter without `=`, or with a key that is not there.

    `rules` has the keys whose values are more than words.
    """
    wanted: dict[str, list[str]] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or key not in keys:
            raise errors.Usage(
                f'the filter "{each}" cannot be read',
                hint=f"write KEY=VALUE with one of: {', '.join(keys)}",
            )
        wanted.setdefault(key, []).append(_checked(each, key, value))
    return lambda row: all(
        rules.get(key, _rule(key))(values, keys[key](row)) for key, values in wanted.items()
    )


def _checked(given: str, key: str, value: str) -> str:
    """The value; a pattern that is none, and a truth value that is none, are refused."""
    if key == "name":
        try:
            re.compile(value)
        except re.error as exc:
            raise errors.Usage(
                f'the filter "{given}" cannot be read: {exc}', hint="write a name or a pattern"
            ) from None
    if key == "dangling":
        if value not in _TRUTH:
            raise errors.Usage(f'the filter "{given}" is true or false', hint="dangling=true")
        return _TRUTH[value]
    return value


_TRUTH = {"true": "true", "1": "true", "false": "false", "0": "false"}


def labels(row: Row) -> Sequence[str]:
    """The row's labels as KEY=VALUE and as KEY."""
    found = row.get("Labels", {})
    return [*(f"{key}={value}" for key, value in found.items()), *found]


def older(values: Sequence[str], found: Sequence[str]) -> bool:
    """`until`: made before every one of the given times."""
    from datetime import datetime

    limit = min(MOMENT.convert(value, None, None) for value in values)
    return all(datetime.fromisoformat(each).timestamp() < limit for each in found)


def _rule(key: str) -> Rule:
    match key:
        case "label":
            return lambda values, found: all(value in found for value in values)
        case "label!":
            return lambda values, found: not any(value in found for value in values)
        case "name":
            return lambda values, found: any(re.search(v, each) for v in values for each in found)
        case "id":
            return lambda values, found: any(e.startswith(v) for v in values for e in found)
        case _:
            return lambda values, found: any(value in found for value in values)

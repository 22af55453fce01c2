"""Decoded JSON → what is printed: a table, JSON, lines of JSON, names, ids or a template."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from sdd import errors
from sdd.cli import settings

Row = Mapping[str, Any]
GAP = "   "
SHORT = 12
ID = re.compile(r"[0-9a-f]{64}")
FIELD = re.compile(r"\{\{\s*(json\s+)?\.([A-Za-z0-9_.]*)\s*\}\}")


class Column:
    """A header and what stands below it; numbers stand at the right."""

    def __init__(self, title: str, text: Callable[[Row], object], *, right: bool = False) -> None:
        self.title = title
        self.text = text
        self.right = right


def short(key: str) -> Callable[[Row], str]:
    """The first 12 characters of an id."""
    return lambda row: str(row[key])[:SHORT]


def show(rows: Sequence[Row], columns: Sequence[Column], *, id_key: str = "Id") -> None:
    """A listing in the form that was asked for."""
    now = settings.current()
    if now.quiet and now.output == "table":
        for row in rows:
            shown = str(row.get(id_key, row.get("Name", "")))
            click.echo(shown[:SHORT] if ID.fullmatch(shown) else shown)
    elif now.output == "table":
        table(rows, columns)
    else:
        data(rows)


def table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Header in capitals, three blanks between columns, nothing wrapped."""
    lines = [[each.title for each in columns]]
    lines += [[_cell(each.text(row)) for each in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = [
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(line, widths, columns, strict=True)
        ]
        click.echo(GAP.join(cells).rstrip())


def data(rows: Sequence[Row]) -> None:
    """The rows for programs: `inspect` always, listings when asked."""
    match settings.current().output:
        case "jsonl":
            for row in rows:
                click.echo(json.dumps(row))
        case "name":
            for row in rows:
                click.echo(str(row.get("Name", "")))
        case "table" | "json":
            click.echo(json.dumps(list(rows), indent=4))
        case template:
            for row in rows:
                click.echo(fill(template, row))


def created(row: Row) -> None:
    """What a `create` prints: the full id, or the object in the form that was asked for.

    What its maker should know goes to stderr.
    """
    if warning := row.get("Warning"):
        click.echo(f"Warning: {warning}", err=True)
    if settings.current().output == "table":
        click.echo(row["Id"])
    else:
        data([row])


def named(row: Row) -> None:
    """What a change prints: the name, or the object in the form that was asked for."""
    if settings.current().output == "table":
        click.echo(row["Name"])
    else:
        data([row])


def fill(template: str, row: Row) -> str:
    r"""`template` with each {{.Key.Key}} or {{json .Key}} replaced; \t and \n are understood."""
    if template.startswith("table "):
        template = template.removeprefix("table ")
    text = FIELD.sub(lambda found: _field(row, found.group(2), bool(found.group(1))), template)
    if "{{" in text and "{{" in FIELD.sub("", template):
        raise errors.Usage(
            f'the template "{template}" cannot be read',
            hint="only {{.Key}}, {{.Key.Key}} and {{json .Key}} are understood",
        )
    return text.replace("\\t", "\t").replace("\\n", "\n")


def _field(row: Row, path: str, as_json: bool) -> str:
    value: Any = row
    for key in filter(None, path.split(".")):
        if not isinstance(value, Mapping) or key not in value:
            raise errors.Usage(
                f'there is no ".{path}" in it', hint=f"its keys: {', '.join(sorted(row))}"
            )
        value = value[key]
    if as_json or isinstance(value, dict | list):
        return json.dumps(value)
    return _cell(value)


def _cell(value: object) -> str:
    """One line of printable text, whatever a label holds."""
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            text = ", ".join(str(each) for each in value)
        case _:
            text = str(value)
    return printable(text)


def printable(text: str) -> str:
    """`text` with every control character written out: labels and names come from anybody."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def ago(stamp: str, now: datetime | None = None) -> str:
    """An RFC 3339 time → "3 minutes ago"."""
    then = datetime.fromisoformat(stamp)
    seconds = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "now"

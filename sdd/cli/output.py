"""Decoded JSON → what is printed: a table, JSON, lines of JSON, names, ids or a template."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from sdd.cli import settings

Row = Mapping[str, Any]
GAP = "   "
SHORT = 12
BRIEF = 64  # characters
TABLE = "table "  # before a template: with a heading, in columns
_TAB = re.compile(r"\\t|\t")
_KEY = re.compile(r"\.([A-Za-z]\w*)")
ID = re.compile(r"[0-9a-f]{64}")


class Column:
    """A header and what stands below it; numbers stand at the right."""

    def __init__(self, title: str, text: Callable[[Row], object], *, right: bool = False) -> None:
        self.title = title
        self.text = text
        self.right = right


def _told_whole(context: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        settings.change(context, whole_ids=True)


no_trunc = click.option(
    "--no-trunc",
    is_flag=True,
    expose_value=False,
    callback=_told_whole,
    help="Nothing shortened: whole ids and texts.",
)


def short(key: str) -> Callable[[Row], str]:
    """An id as listings show it: its first 12 characters, or all with --no-trunc."""
    return lambda row: _shortened(str(row[key]))


def brief(key: str) -> Callable[[Row], str]:
    """A text as listings show it: with room for the others in its row, or all with --no-trunc."""

    def shown(row: Row) -> str:
        text = str(row[key])
        is_whole = len(text) <= BRIEF or settings.current().whole_ids
        return text if is_whole else f"{text[: BRIEF - 1]}…"

    return shown


def _shortened(identity: str) -> str:
    return identity if settings.current().whole_ids else identity[:SHORT]


def show(rows: Sequence[Row], columns: Sequence[Column], *, id_key: str = "Id") -> None:
    """A listing in the form that was asked for."""
    now = settings.current()
    if now.quiet and now.output == "table":
        for row in rows:
            shown = str(row.get(id_key, row.get("Name", "")))
            click.echo(_shortened(shown) if ID.fullmatch(shown) else shown)
    elif now.output == "table":
        table(rows, columns)
    elif now.output == "json" and now.by_line:
        _lines(rows)
    else:
        data(rows)


def _lines(rows: Sequence[Row]) -> None:
    for row in rows:
        click.echo(json.dumps(row))


def table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Header in capitals, three blanks between columns, nothing wrapped."""
    lines = [[each.title for each in columns]]
    lines += [[_cell(each.text(row)) for each in columns] for row in rows]
    _aligned(lines, [each.right for each in columns])


def _aligned(lines: Sequence[Sequence[str]], at_right: Sequence[bool]) -> None:
    widths = [max(len(line[i]) for line in lines) for i in range(len(at_right))]
    for line in lines:
        cells = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, at_right, strict=True)
        ]
        click.echo(GAP.join(cells).rstrip())


def data(rows: Sequence[Row]) -> None:
    """The rows for programs: `inspect` always, listings when asked."""
    match settings.current().output:
        case "jsonl":
            _lines(rows)
        case "name":
            for row in rows:
                click.echo(str(row.get("Name", "")))
        case "table" | "json":
            click.echo(json.dumps(list(rows), indent=4))
        case template if template.startswith(TABLE):
            _templated_table(template.removeprefix(TABLE), rows)
        case template:
            for row in rows:
                click.echo(fill(template, row))


def _templated_table(template: str, rows: Sequence[Row]) -> None:
    r"""One column for each part between \t, below the name of the last key in it, as in Docker."""
    lines = [[_title(part) for part in _TAB.split(template)]]
    lines += [fill(template, row).split("\t") for row in rows]
    count = max(map(len, lines))
    _aligned([line + [""] * (count - len(line)) for line in lines], [False] * count)


def _title(part: str) -> str:
    keys = _KEY.findall(part)
    return keys[-1].upper() if keys else ""


def created(row: Row) -> None:
    """What a `create` prints: the full id, or the object in the form that was asked for.

    What its maker should know goes to stderr.
    """
    warned(row)
    if settings.current().output == "table":
        click.echo(row["Id"])
    else:
        data([row])


def warned(row: Row) -> None:
    """Prints to stderr what whoever changed something should know."""
    if warning := row.get("Warning"):
        click.echo(f"Warning: {warning}", err=True)


def named(row: Row) -> None:
    """What a change prints: warnings, and the name or the object in the form that was asked for."""
    warned(row)
    if settings.current().output == "table":
        click.echo(row["Name"])
    else:
        data([row])


def fill(template: str, row: Row) -> str:
    """`template`, which is one of Go's, for `row`; Docker's names of keys are understood too."""
    from sdd.cli import gotemplate

    return gotemplate.fill(template.removeprefix(TABLE), Dockers(row), _shown)


class Dockers(dict[str, Any]):
    """A row that knows what Docker's listings call the same."""

    NAMES: Mapping[str, str] = {"CreatedAt": "Created", "IPv6": "EnableIPv6"}

    def __missing__(self, key: str) -> object:
        """The value under its name here; KeyError when it has none."""
        if key == "ID":
            return _shortened(str(self["Id"]))
        if key not in self.NAMES:
            raise KeyError(key)
        return self[self.NAMES[key]]


def _shown(value: object) -> str:
    from sdd.cli.gotemplate import Line

    if isinstance(value, Line):
        return "".join(f"{printable(line)}\n" for line in value.splitlines())
    if isinstance(value, dict | list | tuple) or value is None:
        return printable(json.dumps(value))
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

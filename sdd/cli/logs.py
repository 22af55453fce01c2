"""`sdctl logs`: the daemon's own log, as far as it remembers it."""

import json
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import click

from sdd import errors
from sdd.cli import complete, output
from sdd.cli.command import Verb
from sdd.cli.params import MOMENT, Number
from sdd.cli.settings import current
from sdd.client import part

LEVELS = ("debug", "info", "warn", "error", "fatal")


class Tail(click.ParamType[int]):
    """A number of lines, or all (-1)."""

    name = "lines"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; any negative one means all, as in Docker."""
        if value == "all":
            return -1
        return max(-1, Number().convert(value, param, ctx))


@click.command(cls=Verb)
@click.argument("sandbox", required=False, shell_complete=complete.sandboxes)
@click.option(
    "--service", shell_complete=complete.services, help="Only what concerns this service."
)
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="From this level on.")
@click.option("--since", type=MOMENT, help="From this time on: 10m, RFC 3339, or seconds.")
@click.option("--until", type=MOMENT, help="Up to this time.")
@click.option("-n", "--tail", type=Tail(), default="all", help="Only the last so many lines.")
@click.option("--follow", is_flag=True, help="Go on with what comes next.")
@click.option("-t", "--timestamps", is_flag=True, help="With the time before each line.")
def logs(
    *,
    sandbox: str | None,
    service: str | None,
    level: str,
    since: float | None,
    until: float | None,
    tail: int,
    follow: bool,
    timestamps: bool,
) -> None:
    """What the daemon wrote to its log; of one sandbox or service, what concerns it."""
    words = _words(sandbox, service)
    levels = LEVELS[LEVELS.index(level) :]

    def keep(row: output.Row) -> bool:
        return row["Level"] in levels and (words is None or not words.isdisjoint(told(row)))

    query = {"since": str(since)} if since else {}
    client = current().client()
    if tail >= 0 or not follow:
        # The tail is of the lines that are wanted, so it is cut here and not by the daemon.
        rows = client.stream("/v1/logs", query, forever=False)
        _print(deque(_until(rows, until, keep), maxlen=tail if tail >= 0 else None), timestamps)
    if follow:
        query |= {"follow": "true"} | ({"tail": "0"} if tail >= 0 else {})
        _print(_until(client.stream("/v1/logs", query, forever=True), until, keep), timestamps)
        if until is None:
            raise errors.Unreachable("the daemon ended the stream of lines", hint="sdctl status")


def told(row: output.Row) -> set[str]:
    """Everything a line names: the values of its fields, and the parts of lists among them."""
    return {word for value in row["Fields"].values() for word in value.split(",")}


def _words(sandbox: str | None, service: str | None) -> set[str] | None:
    """How lines name what was asked for: name, id, and the ids of a sandbox's endpoints."""
    if sandbox is None and service is None:
        return None
    words: set[str] = set()
    client = current().client()
    if sandbox is not None:
        found = client.get(f"/v1/sandboxes/{part(sandbox)}")
        words |= {found["Id"], found["Name"]}
        words |= {each["EndpointID"] for each in found["Networks"].values()}
    if service is not None:
        found = client.get(f"/v1/services/{part(service)}")
        words |= {found["Id"], found["Name"]}
    return words


def _until(
    rows: Iterable[output.Row], until: float | None, keep: Callable[[output.Row], bool]
) -> Iterable[output.Row]:
    for row in rows:
        if until is not None and datetime.fromisoformat(row["Time"]).timestamp() > until:
            return
        if keep(row):
            yield row


def _print(rows: Iterable[output.Row], timestamps: bool) -> None:
    for row in rows:
        match current().output:
            case "table" | "name":
                click.echo(line(row, timestamps=timestamps))
            case "json" | "jsonl":
                click.echo(json.dumps(row))
            case template:
                click.echo(output.fill(template, row))


def line(row: output.Row, *, timestamps: bool) -> str:
    """Level, message and fields, as the daemon writes them to stderr."""
    fields = " ".join(f"{key}={_quoted(value)}" for key, value in row["Fields"].items())
    words = (row["Time"] if timestamps else "", row["Level"], row["Message"], fields)
    return output.printable(" ".join(word for word in words if word))


def _quoted(value: str) -> str:
    plain = value and not any(c.isspace() or c in '"=' for c in value)
    return value if plain else json.dumps(value)

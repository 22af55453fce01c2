"""`sdctl events`: what happened, and with --follow what happens next."""

import json
from typing import Any

import click

from sdd import errors
from sdd.cli import filters, output
from sdd.cli.command import Verb
from sdd.cli.params import MOMENT
from sdd.cli.settings import current

KEYS = {
    "type": lambda row: [row["Type"]],
    "event": lambda row: [row["Action"]],
    "name": lambda row: [row["Actor"]["Attributes"].get("name", "")],
    "sandbox": lambda row: [row["Actor"]["Attributes"].get("sandbox", "")],
    "id": lambda row: [row["Actor"]["ID"]],
}


@click.command(cls=Verb)
@click.option("--since", type=MOMENT, help="From this time on: 10m, RFC 3339, or seconds.")
@click.option("--until", type=MOMENT, help="Up to this time.")
@click.option("--follow", is_flag=True, help="Go on with what happens next.")
@filters.option
def events(since: float | None, until: float | None, follow: bool, wanted: tuple[str, ...]) -> None:
    """What happened to networks, sandboxes and services, oldest first."""
    keep = filters.parse(wanted, KEYS)
    query = ({"since": str(since)} if since else {}) | ({"follow": "true"} if follow else {})
    rows = current().client().stream("/v1/events", query, forever=follow)
    for row in rows:
        if until is not None and _seconds(row["Time"]) > until:
            break
        if keep(row):
            show(row)
    else:
        if follow:
            raise errors.Unreachable(
                "the daemon ended the stream of events", hint="see: sdctl status"
            )


def show(row: output.Row) -> None:
    """One line, at once: a reader of a pipe waits for it."""
    match current().output:
        case "table":
            click.echo(line(row))
        case "name":
            if name := row["Actor"]["Attributes"].get("name") or row["Actor"]["ID"]:
                click.echo(output.printable(name))
        case "json" | "jsonl":
            click.echo(json.dumps(row))
        case template:
            click.echo(output.fill(template, row))


def line(row: output.Row) -> str:
    """Docker's form: time type action id (key=value, …)."""
    actor: dict[str, Any] = row["Actor"]
    told = ", ".join(f"{key}={value}" for key, value in actor["Attributes"].items() if value)
    words = (row["Time"], row["Type"], row["Action"], actor["ID"][: output.SHORT], f"({told})")
    return output.printable(" ".join(word for word in words if word not in {"", "()"}))


def _seconds(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp()

"""Commands over several refs: each is tried, what worked is printed, what failed is told."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from sdd import errors
from sdd.cli import output
from sdd.cli.settings import current
from sdd.client import part


def inspect(
    path: str, refs: Sequence[str], told: Callable[[output.Row], output.Row] = lambda row: row
) -> None:
    """Prints the JSON array of what was found; raises the last failure after telling the rest.

    `told` is what is printed of each.
    """
    client = current().client()
    found, failures = each(refs, lambda ref: told(client.get(f"{path}/{part(ref)}")))
    if found:
        output.data(found)
    raise_last(failures)


def remove(path: str, refs: Sequence[str], *, missing_is_fine: bool) -> None:
    """Prints each ref that is gone; raises the last failure after telling the rest."""
    client = current().client()

    def one(ref: str) -> str:
        try:
            client.delete(f"{path}/{part(ref)}")
        except errors.NotFound:
            if not missing_is_fine:
                raise
            return ""
        click.echo(ref)
        return ref

    raise_last(each(refs, one)[1])


def each(
    refs: Iterable[str], work: Callable[[str], Any]
) -> tuple[list[Any], list[errors.SddError]]:
    """Results and failures of `work` on each ref; an unreachable daemon ends it at once."""
    found, failures = [], []
    for ref in refs:
        try:
            found.append(work(ref))
        except (errors.Unreachable, errors.Denied):
            raise
        except errors.SddError as error:
            failures.append(error)
    return found, failures


def raise_last(failures: Sequence[errors.SddError]) -> None:
    """Tells all failures but the last on stderr, and raises that one."""
    for error in failures[:-1]:
        click.echo(str(error), err=True)
    if failures:
        raise failures[-1]


def confirm(question: str) -> None:
    """Asks on a terminal, where the answer is no unless it is yes; elsewhere `-f` must be said."""
    if not sys.stdin.isatty():
        raise errors.Usage(f"not sure: {question}", hint="say -f to mean it")
    if not click.confirm(question, err=True):
        raise click.Abort

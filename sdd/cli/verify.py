"""`sdctl verify`: what should be against what is."""

import click

from sdd.cli import output
from sdd.cli.command import Verb
from sdd.cli.output import Column
from sdd.cli.settings import current

COLUMNS = (
    Column("BACKEND", lambda row: row["Backend"]),
    Column("KIND", lambda row: row["Kind"]),
    Column("NAME", lambda row: row["Name"] or "-"),
    Column("DIFFERENCE", lambda row: row["Difference"]),
)


@click.command(cls=Verb)
@click.pass_context
def verify(ctx: click.Context) -> None:
    """Look at kernel, balancing and names without changing them; exit 1 for any difference."""
    found = current().client().get("/v1/verify")
    if found or current().output != "table":
        output.show(found, COLUMNS, id_key="Subject")
    else:
        click.echo("everything is as it should be", err=True)
    ctx.exit(1 if found else 0)

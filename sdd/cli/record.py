"""The verbs of `sdctl dns record`: names of your own on a network."""

import click

from sdd.cli import complete, output
from sdd.cli.command import Noun
from sdd.cli.output import Column
from sdd.cli.settings import current

PATH = "/v1/dns/records"
COLUMNS = (
    Column("NETWORK", lambda row: row["Network"]),
    Column("NAME", lambda row: row["Name"]),
    Column("TYPE", lambda row: row["Type"]),
    Column("DATA", output.brief("Data")),
    Column("STATE", lambda row: row["State"]),
)


@click.group(cls=Noun)
def record() -> None:
    """Names of your own on a network."""


@record.command()
@click.argument("network", shell_complete=complete.networks)
@click.argument("name")
@click.argument("rdtype", metavar="TYPE")
@click.argument("data", nargs=-1, required=True)
def add(network: str, name: str, rdtype: str, data: tuple[str, ...]) -> None:
    """Add a record: A, AAAA, CNAME, TXT or SRV.

    NAME may be *.NAME: every name below that nobody has. Sandboxes on NETWORK see it as NAME and
    as NAME.NETWORK.

    \b
      sdctl dns record add lab db A 10.0.0.9
      sdctl dns record add lab '*.apps' CNAME web
      sdctl dns record add lab _http._tcp.web SRV 0 10 8080 web
    """  # noqa: D301 - click's sign for lines that are not joined
    body = {"network": network, "name": name, "type": rdtype, "data": " ".join(data)}
    made = current().client().post(PATH, body)
    output.warned(made)
    if current().output != "table":
        output.data([made])


@record.command("ls")
@output.no_trunc
@click.argument("network", default="", shell_complete=complete.networks)
def listing(network: str) -> None:
    """List the records of NETWORK, or of all networks.

    A record is shadowed while a sandbox or a service has its name: that one answers.
    """
    found = current().client().get(PATH, {"network": network} if network else {})
    output.show(found, COLUMNS)


@record.command()
@click.argument("network", shell_complete=complete.networks)
@click.argument("name")
@click.argument("rdtype", metavar="[TYPE]", default="")
@click.argument("data", nargs=-1)
def rm(network: str, name: str, rdtype: str, data: tuple[str, ...]) -> None:
    """Remove what NAME has; with TYPE only that type, with DATA only that record."""
    asked = {"network": network, "name": name, "type": rdtype, "data": " ".join(data)}
    gone = current().client().delete(PATH, {key: text for key, text in asked.items() if text})
    if current().output != "table":
        output.data(gone)
    else:
        click.echo(f"{len(gone)} removed", err=True)

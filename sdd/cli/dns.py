"""The verbs of `sdctl dns`: look-ups."""

from typing import Any

import click

from sdd import errors
from sdd.cli import complete, output
from sdd.cli.command import Noun
from sdd.cli.output import Column
from sdd.cli.settings import current

NXDOMAIN, NODATA, FAILED = 3, 4, 5  # exit codes that scripts rely on
COLUMNS = (
    Column("NAME", lambda row: row["Name"]),
    Column("TTL", lambda row: row["TTL"], right=True),
    Column("TYPE", lambda row: row["Type"]),
    Column("DATA", lambda row: row["Data"]),
)


@click.group(cls=Noun)
def dns() -> None:
    """Ask as a sandbox would."""


@dns.command()
@click.argument("name")
@click.argument("rdtype", metavar="[TYPE]", default="A")
@click.option(
    "--from", "sandbox", shell_complete=complete.sandboxes, help="Ask from inside this sandbox."
)
@click.option("--tcp", is_flag=True, help="Over TCP.")
@click.option("--short", is_flag=True, help="Only the data.")
@click.pass_context
def query(
    ctx: click.Context, *, name: str, rdtype: str, sandbox: str | None, tcp: bool, short: bool
) -> None:
    """Look a name up; exit 3 for NXDOMAIN, 4 for NODATA, 5 for SERVFAIL or no answer."""
    if sandbox is None:
        raise errors.Usage(
            f'from where shall "{name}" be asked? each sandbox sees its own names',
            hint="add --from SANDBOX   (list them with: sdctl sandbox ls)",
        )
    asked = {"name": name, "type": rdtype, "from": sandbox} | ({"tcp": "true"} if tcp else {})
    found = current().client().get("/v1/dns/query", asked)
    if current().output != "table":
        output.data([found])
    elif short:
        for each in found["Answers"]:
            click.echo(each["Data"])
    else:
        _show(found)
    ctx.exit(exit_code(found))


def exit_code(found: dict[str, Any]) -> int:
    """0 with an answer, else why there is none."""
    match found["Rcode"]:
        case "NOERROR":
            return 0 if found["Answers"] else NODATA
        case "NXDOMAIN":
            return NXDOMAIN
        case _:
            return FAILED


def _show(found: dict[str, Any]) -> None:
    if found["Answers"]:
        output.table(found["Answers"], COLUMNS)
    word = found["Rcode"]
    if word == "NOERROR" and not found["Answers"]:
        word = f"NOERROR, but no {found['Type']} record (NODATA)"
    source = f", {found['Source']}" if found["Source"] else ""
    line = f"{found['Name']} {found['Type']}: {word} from {found['Server']}"
    click.echo(f"{line} in {found['Milliseconds']:.1f} ms{source}", err=True)

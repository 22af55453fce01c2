"""The verbs of `sdctl lb`: balancing."""

import click

from sdd.cli import output
from sdd.cli.command import Noun
from sdd.cli.output import Column
from sdd.cli.settings import current


@click.group(cls=Noun)
def lb() -> None:
    """The kernel's own view of balancing."""


@lb.command("ls")
@click.option("--from", "sandbox", help="Only what this sandbox sees.")
def listing(sandbox: str | None) -> None:
    """List virtual servers and their real servers, as the kernel has them."""
    query = {"from": sandbox} if sandbox else {}
    output.show(current().client().get("/v1/lb", query), COLUMNS, id_key="Service")


COLUMNS = (
    Column("SANDBOX", lambda row: row["Sandbox"]),
    Column("SERVICE", lambda row: row["Service"]),
    Column("PROT", lambda row: row["Protocol"]),
    Column("LOCAL ADDRESS", lambda row: row["Vip"]),
    Column("SCHEDULER", lambda row: row["Scheduler"]),
    Column("REMOTE ADDRESS", lambda row: row["Address"]),
    Column("FORWARD", lambda row: row["Forward"]),
    Column("WEIGHT", lambda row: row["Weight"], right=True),
    Column("ACTIVECONN", lambda row: row["Active"], right=True),
    Column("INACTCONN", lambda row: row["Inactive"], right=True),
)

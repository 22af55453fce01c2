"""The verbs of `sdctl lb`: balancing."""

from collections.abc import Callable

import click

from sdd.cli import complete, output
from sdd.cli.command import Noun
from sdd.cli.output import Column, Row
from sdd.cli.params import MAX_PORT
from sdd.cli.settings import current


@click.group(cls=Noun)
def lb() -> None:
    """The kernel's own view of balancing."""


@lb.command("ls")
@click.argument("service", required=False, shell_complete=complete.services)
@click.option(
    "--from", "sandbox", shell_complete=complete.sandboxes, help="Only what this sandbox sees."
)
@click.option("--stats", is_flag=True, help="Connections, packets and bytes so far.")
@click.option("--rate", is_flag=True, help="The same per second.")
def listing(service: str | None, sandbox: str | None, stats: bool, rate: bool) -> None:
    """List virtual servers and their real servers, as the kernel has them.

    With SERVICE, its own alone.
    """
    if stats and rate:
        raise click.UsageError("give either --stats or --rate")
    query = ({"from": sandbox} if sandbox else {}) | ({"rates": "true"} if rate else {})
    query |= {"service": service} if service else {}
    columns = STATS if stats else RATES if rate else CONNECTIONS
    found = current().client().get("/v1/lb", query)
    output.show(found, (*PLACE, *columns), id_key="Vip")


@lb.command()
@click.argument("target", metavar="VIP[:PORT[/tcp|udp|sctp]]")
@click.option(
    "--from",
    "sandbox",
    required=True,
    shell_complete=complete.sandboxes,
    help="As a program in this sandbox would.",
)
def trace(target: str, sandbox: str) -> None:
    """Show how a connection to a virtual address, service or published port is decided.

    With a port one connection is really made (with udp, one empty datagram sent), to see where
    the kernel leads it. An address of the host with a published port is followed to its members.
    """
    to, port, protocol = _split(target)
    query = {"from": sandbox, "to": to} | ({"port": port, "protocol": protocol} if port else {})
    found = current().client().get("/v1/lb/trace", query)
    if current().output != "table":
        output.data(found)
        return
    for step in found:
        click.echo(f"{step['Stage']}: {step['Text']}")


def _split(target: str) -> tuple[str, str, str]:
    """10.0.1.9:80, [fd00::9]:80, web:80, web:53/udp, or any of them without a port."""
    target, slash, protocol = target.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    host, colon, port = target.rpartition(":")
    is_bare = not colon or (":" in host and not host.endswith("]"))
    host, port = (target, "") if is_bare else (host, port)
    if not is_bare and not (port.isascii() and port.isdigit() and 1 <= int(port) <= MAX_PORT):
        raise click.BadParameter(
            f'"{port}" is no port; write VIP:PORT, [IPV6]:PORT or SERVICE:PORT',
            param_hint="VIP[:PORT]",
        )
    if protocol not in PROTOCOLS or (slash and not port):
        raise click.BadParameter(
            f'"/{protocol}" is no protocol of a port; write VIP:PORT/udp, /tcp or /sctp',
            param_hint="VIP[:PORT]",
        )
    return host.strip("[]"), port, protocol


PROTOCOLS = ("tcp", "udp", "sctp")


def _counted(key: str) -> Callable[[Row], object]:
    """The kernel's number, or a dash where this kernel does not count."""
    return lambda row: "-" if row.get(key) is None else row[key]


def _numbers(*pairs: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(title, _counted(key), right=True) for title, key in pairs)


def _service(row: Row) -> str:
    """Whose the address is and, where not the same serve by all, who does by this one."""
    serving = f" ({row['Serving']})" if row["Serving"] else ""
    return (str(row["Service"]) or "-") + serving


# The words and their order are ipvsadm's, which people know.
PLACE = (
    Column("SANDBOX", lambda row: row["Sandbox"]),
    Column("SERVICE", _service),
    Column("PROT", lambda row: row["Protocol"]),
    Column("LOCAL ADDRESS", lambda row: row["Vip"]),
    Column("SCHEDULER", lambda row: row["Scheduler"]),
    Column("REMOTE ADDRESS", lambda row: row["Address"] or "-"),
)
CONNECTIONS = (
    Column("FORWARD", lambda row: row["Forward"]),
    *_numbers(("WEIGHT", "Weight"), ("ACTIVECONN", "Active"), ("INACTCONN", "Inactive")),
)
STATS = _numbers(
    ("CONNS", "Connections"),
    ("INPKTS", "InPackets"),
    ("OUTPKTS", "OutPackets"),
    ("INBYTES", "InBytes"),
    ("OUTBYTES", "OutBytes"),
)
RATES = _numbers(
    ("CPS", "ConnectionRate"),
    ("INPPS", "InPacketRate"),
    ("OUTPPS", "OutPacketRate"),
    ("INBPS", "InByteRate"),
    ("OUTBPS", "OutByteRate"),
)

"""The verbs of `sdctl dns`: look-ups, and what the server knows."""

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import Any

import click

from sdd import errors
from sdd.cli import complete, output
from sdd.cli.command import Noun
from sdd.cli.output import Column
from sdd.cli.record import record
from sdd.cli.settings import current
from sdd.client import part

NXDOMAIN, NODATA, FAILED = 3, 4, 5  # exit codes that scripts rely on
_MOST_ZONES = 3  # of a server, in a table
COLUMNS = (
    Column("NAME", lambda row: row["Name"]),
    Column("TTL", lambda row: row["TTL"], right=True),
    Column("TYPE", lambda row: row["Type"]),
    Column("DATA", lambda row: row["Data"]),
)

CACHE = (
    Column("NAME", lambda row: row["Name"]),
    Column("TYPE", lambda row: row["Type"]),
    Column("FLAGS", lambda row: ",".join(row["Flags"]) or "-"),
    Column("RCODE", lambda row: row["Rcode"]),
    Column("RECORDS", lambda row: row["Records"], right=True),
    Column("LEFT", lambda row: "stale" if row["Left"] < 0 else f"{row['Left']}s", right=True),
    Column("SANDBOX", lambda row: row["Sandbox"] or "-"),
    Column("SERVERS", lambda row: ",".join(row["Servers"])),
)


def _last_error(row: output.Row) -> str:
    error = row["LastError"]
    return f"{error}, {row['LastErrorSeconds']:.0f}s ago" if error else "-"


def _zones(row: output.Row) -> str:
    """The first few: a server may have dozens of them."""
    most = len(row["Zones"]) if current().whole_ids else _MOST_ZONES
    shown, more = row["Zones"][:most], len(row["Zones"]) - most
    return ",".join(shown) + (f" +{more}" if more > 0 else "") or "-"


UPSTREAM = (
    Column("ADDRESS", lambda row: row["Address"]),
    Column("PORT", lambda row: row["Port"], right=True),
    Column("FROM", lambda row: row["From"]),
    Column("ZONE", _zones),
    Column("STATE", lambda row: row["State"]),
    Column("SILENT", lambda row: row["Silent"], right=True),
    Column("RTT", lambda row: f"{row['RttMs']:.1f}ms" if row["RttMs"] else "-", right=True),
    Column("EDNS", lambda row: "yes" if row["Edns"] else "no"),
    Column("CASE", lambda row: "kept" if row["KeepsCase"] else "lost"),
    Column("LAST ERROR", _last_error),
)


@click.group(cls=Noun)
def dns() -> None:
    """Ask as a sandbox would, and see what the DNS server knows."""


@dns.command()
@click.argument("name")
@click.argument("rdtype", metavar="[TYPE]", default="")
@click.option(
    "--from", "sandbox", shell_complete=complete.sandboxes, help="Ask from inside this sandbox."
)
@click.option("--tcp", is_flag=True, help="Over TCP.")
@click.option("--search", is_flag=True, help="With its search list, as its programs do.")
@click.option("--short", is_flag=True, help="Only the data, as with -q.")
@click.pass_context
def query(
    ctx: click.Context,
    *,
    name: str,
    rdtype: str,
    sandbox: str | None,
    tcp: bool,
    search: bool,
    short: bool,
) -> None:
    """Look a name up; exit 3 for NXDOMAIN, 4 for NODATA, 5 for SERVFAIL or no answer.

    TYPE is A unless it is given. Of an address the name is asked: PTR of its reverse name.
    """
    if sandbox is None:
        raise errors.Usage(
            f'from where shall "{name}" be asked? each sandbox sees its own names',
            hint="add --from SANDBOX   (list them with: sdctl sandbox ls)",
        )
    asked = {**_question(name, rdtype), "from": sandbox}
    asked |= {key: "true" for key, given in (("tcp", tcp), ("search", search)) if given}
    with _typed():
        found = current().client().get("/v1/dns/query", asked)
    if current().output != "table":
        output.data([found])
    elif short or current().quiet:
        for each in found["Answers"] if _is_found(found) else ():
            click.echo(each["Data"])
    else:
        _show(found)
    ctx.exit(exit_code(found))


def _question(name: str, rdtype: str) -> dict[str, str]:
    """Name and type as the API takes them; an address alone, or with PTR, means who has it."""
    if rdtype.upper() in {"", "PTR"} and (reverse := _reverse(name)):
        return {"name": reverse, "type": "PTR"}
    return {"name": name, "type": rdtype or "A"}


def _reverse(text: str) -> str:
    """The reverse name of an address; empty when it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return f"{address.reverse_pointer}."


@contextlib.contextmanager
def _typed() -> Iterator[None]:
    """What is no question to the daemon was typed wrongly."""
    try:
        yield
    except errors.Invalid as exc:
        if exc.code != "SDD-DNS-QUESTION":
            raise
        raise errors.Usage(exc.sentence, hint=exc.hint, code=exc.code) from exc


def exit_code(found: dict[str, Any]) -> int:
    """0 with an answer, else why there is none."""
    match found["Rcode"]:
        case "NOERROR":
            return 0 if _is_found(found) else NODATA
        case "NXDOMAIN":
            return NXDOMAIN
        case _:
            return FAILED


def _is_found(found: dict[str, Any]) -> bool:
    """Whether there is anything of the type that was asked for: aliases may lead to nothing."""
    return any(found["Type"] in (each["Type"], "ANY") for each in found["Answers"])


def _word(found: dict[str, Any]) -> str:
    word: str = found["Rcode"]
    if word == "NOERROR" and not _is_found(found):
        return f"NOERROR, but no {found['Type']} record (NODATA)"
    return word


def _why(found: dict[str, Any]) -> Iterator[str]:
    """What the reply says of itself: that it is not whole, extended errors (RFC 8914)."""
    if found.get("Truncated"):
        yield "not whole: there are records that this answer had no room for (TC)"
    for each in found["Explained"]:
        words = f"{each['Text']} " if each["Text"] else ""
        yield f"why: {words}(EDE {each['Code']})"


def _show(found: dict[str, Any]) -> None:
    if found["Answers"]:
        output.table(found["Answers"], COLUMNS)
    source = f", {found['Source']}" if found["Source"] else ""
    line = f"{found['Name']} {found['Type']}: {_word(found)} from {found['Server']}"
    click.echo(f"{line} in {found['Milliseconds']:.1f} ms{source}", err=True)
    for each in _why(found):
        click.echo(f"  {each}", err=True)


@dns.command()
@click.argument("name")
@click.argument("rdtype", metavar="[TYPE]", default="")
@click.option(
    "--from",
    "sandbox",
    required=True,
    shell_complete=complete.sandboxes,
    help="As a program in this sandbox would.",
)
@click.pass_context
def trace(ctx: click.Context, *, name: str, rdtype: str, sandbox: str) -> None:
    """Show every question that a look-up asks, and how each was decided.

    TYPE is A unless it is given; of an address, PTR of its reverse name.
    """
    asked = {**_question(name, rdtype), "from": sandbox}
    with _typed():
        found = current().client().get("/v1/dns/trace", asked)
    if current().output != "table":
        output.data(found)
    else:
        for each in found:
            _explain(each)
    ctx.exit(exit_code(found[-1]))


dns.add_command(record)


@dns.group(cls=Noun)
def cache() -> None:
    """What answers of others are remembered."""


@cache.command("ls")
def cache_ls() -> None:
    """List the remembered answers, the least recently used first.

    FLAGS are those of the question (rd, cd, do): each answer is remembered by them too.
    """
    output.show(current().client().get("/v1/dns/cache"), CACHE, id_key="Name")


@cache.command()
@click.argument("name", default=".")
def flush(name: str) -> None:
    """Forget the answers for NAME and all below it; without NAME, all.

    An address stands for its reverse name.
    """
    with _typed():
        found = current().client().delete(f"/v1/dns/cache?name={part(_reverse(name) or name)}")
    if current().output != "table":
        output.data([found])
    else:
        click.echo(f"{found['Flushed']} forgotten", err=True)


@dns.group(cls=Noun)
def upstream() -> None:
    """The servers that answer what is not ours."""


@upstream.command("ls")
@output.no_trunc
def upstream_ls() -> None:
    """List the servers that names of others are asked of, and how they did.

    ZONE tells for which names: "." stands for all that are in no zone of another server.
    """
    output.show(current().client().get("/v1/dns/upstreams"), UPSTREAM, id_key="Address")


def _explain(found: dict[str, Any]) -> None:
    click.echo(f"{found['Name']} {found['Type']}")
    for step in found["Steps"]:
        click.echo(f"  {step['Stage']}: {step['Text']}")
    data = ", ".join(each["Data"] for each in found["Answers"])
    data = f" {data}" if data else ""
    click.echo(f"  = {_word(found)}{data} in {found['Milliseconds']:.1f} ms")
    for each in _why(found):
        click.echo(f"  {each}")

"""The verbs of `sdctl sandbox`: sandboxes."""

import os
from collections.abc import Callable
from typing import Any

import click

from sdd.cli import complete, filters, output, several
from sdd.cli.command import Inspect, Noun
from sdd.cli.output import Column
from sdd.cli.params import (
    ADDRESS,
    ATTACHMENT,
    EXTRA_HOST,
    GATEWAY,
    IP4,
    IP6,
    LABEL,
    NAMESERVER,
    WORD,
    Number,
)
from sdd.cli.publish import PUBLISH
from sdd.cli.settings import current
from sdd.client import part

PATH = "/v1/sandboxes"
DEFAULT_NETWORK = "bridge"


def _addresses(row: output.Row) -> list[str]:
    found = row["Networks"].values()
    return [each[key] for each in found for key in ("IPAddress", "GlobalIPv6Address") if each[key]]


def _ports(row: output.Row) -> str:
    from sdd.model import port  # only listings need it, and it takes time to load

    ways = []
    for target, places in row["Ports"].items():
        number, _, protocol = target.partition("/")
        if not places:  # open at the sandbox's own address
            ways.append(("", 0, int(number), port.Protocol(protocol)))
        for each in places:
            host = f"[{each['HostIp']}]" if ":" in each["HostIp"] else each["HostIp"]
            ways.append((host, int(each["HostPort"]), int(number), port.Protocol(protocol)))
    return port.listed(ways)


COLUMNS = (
    Column("SANDBOX ID", output.short("Id")),
    Column("NAME", lambda row: row["Name"]),
    Column("ORIGIN", lambda row: row["Origin"]),
    Column("NETWORKS", lambda row: list(row["Networks"])),
    Column("ADDRESSES", _addresses),
    Column("PORTS", _ports),
)
OPTIONS = (
    click.option(
        "--network",
        "networks",
        type=ATTACHMENT,
        multiple=True,
        help="NET[,ip=,alias=]; else bridge.",
    ),
    click.option("--ip", type=IP4, help="IPv4 address on the first network."),
    click.option("--ip6", type=IP6, help="IPv6 address on the first network."),
    click.option("--mac-address", "mac", default="", help="MAC on the first network."),
    click.option(
        "--link-local-ip",
        "link_local",
        type=ADDRESS,
        multiple=True,
        help="One more address on the first network, of 169.254.0.0/16 or fe80::/10.",
    ),
    click.option(
        "--network-alias", "aliases", type=WORD, multiple=True, help="One more name on each."
    ),
    click.option("--service", "services", multiple=True, help="Join this service."),
    click.option("--hostname", type=WORD, default="", help="Its own name in /etc/hosts."),
    click.option("--dns", type=NAMESERVER, multiple=True, help="Server for names not ours."),
    click.option("--dns-search", type=WORD, multiple=True, help='Search domain; "." for none.'),
    click.option("--dns-opt", type=WORD, multiple=True, help="Option of resolv.conf."),
    click.option(
        "--add-host",
        "hosts",
        type=EXTRA_HOST,
        multiple=True,
        help="HOST:IP or HOST:host-gateway, also with =.",
    ),
    click.option("--label", "labels", type=LABEL, multiple=True, help="For you and for --filter."),
    click.option(
        "--publish",
        "-p",
        type=PUBLISH,
        multiple=True,
        help="[IP:][PUBLISHED:]TARGET[/PROTOCOL] or published=,target=.",
    ),
)


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


KEYS = {
    "id": lambda row: [row["Id"]],
    "label": filters.labels,
    "name": lambda row: [row["Name"]],
    "network": lambda row: list(row["Networks"]),
    "origin": lambda row: [row["Origin"]],
    "service": lambda row: row["Services"],
}


@click.group(cls=Noun)
def sandbox() -> None:
    """Network namespaces and what runs in them."""


@sandbox.command()
@click.argument("name")
@_shared
def create(name: str, **asked: Any) -> None:
    """Make a network namespace of that name; prints its id."""
    output.created(current().client().post(PATH, body(name, **asked)))


@sandbox.command()
@click.argument("name")
@click.option("--pid", type=Number(min=1), help="A process in the namespace.")
@click.option("--netns", default="", help="The namespace's file, or its name in `ip netns`.")
@click.option(
    "--write-resolv-conf",
    default="auto",
    metavar="auto|never|PATH",
    help="Where else resolv.conf goes; PATH is in the root of --pid, on the host with --netns.",
)
@_shared
def attach(name: str, pid: int | None, netns: str, write_resolv_conf: str, **asked: Any) -> None:
    """Adopt a network namespace that exists; prints its id."""
    if (pid is None) == (not netns):
        raise click.UsageError("give either --pid or --netns")
    where: dict[str, Any] = {"netns": _file(netns)} if netns else {"pid": pid}
    where["write_resolv_conf"] = write_resolv_conf
    output.created(current().client().post(PATH, body(name, **asked) | where))


def _file(netns: str) -> str:
    """The absolute path: the daemon is elsewhere. A bare name is one of `ip netns`, if there."""
    named = os.path.join("/var/run/netns", netns)  # noqa: PTH118 - pathlib takes 10 ms to load
    if "/" not in netns and os.path.exists(named):  # noqa: PTH110 - as above
        return named
    return os.path.abspath(netns)  # noqa: PTH100 - as above


def body(name: str, **asked: Any) -> dict[str, Any]:
    """The request of `create` and `attach` from their options."""
    return {
        "name": name,
        "attachments": attachments(asked),
        "services": asked["services"],
        "hostname": asked["hostname"],
        "dns": {
            "servers": asked["dns"],
            "search": asked["dns_search"],
            "options": asked["dns_opt"],
        },
        "extra_hosts": [each for each in asked["hosts"] if each["address"] != GATEWAY],
        "gateway_hosts": [each["name"] for each in asked["hosts"] if each["address"] == GATEWAY],
        "publish": asked["publish"],
        "labels": dict(asked["labels"]),
    }


def attachments(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Fixed addresses go to the first network, aliases to all; none given means the default."""
    first = {key: asked[key] for key in ("ip", "ip6", "mac", "link_local") if asked[key]}
    given = [dict(each) for each in asked["networks"]]
    if not given and (first or asked["aliases"]):
        given = [{"network": DEFAULT_NETWORK, "aliases": []}]
    for index, each in enumerate(given):
        each["aliases"] = [*each["aliases"], *asked["aliases"]]
        if index == 0:
            each.update(first)
    return given


@sandbox.command("ls")
@output.no_trunc
@filters.option
def listing(wanted: tuple[str, ...]) -> None:
    """List sandboxes."""
    keep = filters.parse(wanted, KEYS)
    output.show([row for row in current().client().get(PATH) if keep(row)], COLUMNS)


@sandbox.command(cls=Inspect)
@click.argument(
    "refs", metavar="SANDBOX...", nargs=-1, required=True, shell_complete=complete.sandboxes
)
def inspect(refs: tuple[str, ...]) -> None:
    """Everything about sandboxes, as a JSON array."""
    several.inspect(PATH, refs)


@sandbox.command()
@click.argument(
    "refs", metavar="SANDBOX...", nargs=-1, required=True, shell_complete=complete.sandboxes
)
@click.option("-f", "--force", is_flag=True, help="No error when it does not exist.")
def rm(refs: tuple[str, ...], force: bool) -> None:
    """Remove sandboxes: interfaces, names, memberships, and the namespace if it is ours."""
    several.remove(PATH, refs, missing_is_fine=force)


@sandbox.command("exec", context_settings={"allow_interspersed_args": False})
@click.argument("ref", metavar="SANDBOX", shell_complete=complete.sandboxes)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def execute(ctx: click.Context, ref: str, command: tuple[str, ...]) -> None:
    """Run a command in a sandbox, with its resolv.conf, hosts and hostname."""
    from sdd.cli import inside

    # Options end at the sandbox's name, so that the command's own are left alone; the customary
    # "--" behind it is then an argument like any other.
    command = command[1:] if command[0] == "--" else command
    if not command:
        raise click.UsageError("missing argument 'COMMAND...'")
    found = current().client().get(f"{PATH}/{part(ref)}")
    own = found["Hostname"] or found["Name"]
    files = {"/etc/resolv.conf": found["ResolvConfPath"], "/etc/hosts": found["HostsPath"]}
    ctx.exit(inside.run(found["Name"], found["Netns"], own, files, command))

"""The verbs of `sdctl network`: networks."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from sdd import errors
from sdd.cli import complete, filters, fixed, output, params, pools, several
from sdd.cli.command import Inspect, Noun
from sdd.cli.output import Column
from sdd.cli.params import (
    ADDRESS,
    CIDR,
    FORWARD_ZONE,
    FORWARD_ZONES,
    IP4,
    IP6,
    LABEL,
    NAMESERVER,
    OPTION,
    WORD,
)
from sdd.cli.settings import current
from sdd.client import part

PATH = "/v1/networks"
DRIVERS = ("bridge", "overlay", "macvlan", "ipvlan")
COLUMNS = (
    Column("NETWORK ID", output.short("Id")),
    Column("NAME", lambda row: row["Name"]),
    Column("DRIVER", lambda row: row["Driver"]),
    Column("SCOPE", lambda row: row["Scope"]),
)
KEYS = {
    "driver": lambda row: [row["Driver"]],
    "id": lambda row: [row["Id"]],
    "label": filters.labels,
    "name": lambda row: [row["Name"]],
    "scope": lambda row: [row["Scope"]],
    "type": lambda row: ["builtin" if row["Predefined"] else "custom"],
    "dangling": lambda row: ["true" if unused(row) else "false"],
}
PRUNE_KEYS = {
    "label": filters.labels,
    "label!": filters.labels,
    "until": lambda row: [row["Created"]],
}


@click.group(cls=Noun)
def network() -> None:
    """Networks: make, list, connect, remove."""


@network.command()
@click.argument("name")
@click.option(
    "-d",
    "--driver",
    type=click.Choice(DRIVERS),
    default="bridge",
    help="How it is made in the kernel.",
)
@click.option(
    "--subnet", "subnets", type=CIDR, multiple=True, help="Such as 10.1.0.0/24; else a free one."
)
@click.option(
    "--gateway", "gateways", type=ADDRESS, multiple=True, help="In a subnet; else its first."
)
@click.option("--ip-range", "ranges", type=CIDR, multiple=True, help="Automatic addresses from it.")
@click.option("--aux-address", "aux", type=OPTION, multiple=True, help="NAME=IP, never given out.")
@click.option("--internal", is_flag=True, help="No default route, no way out.")
@click.option("--attachable", is_flag=True, help="Kept for Docker's sake.")
@click.option(
    "--ipv4/--no-ipv4",
    default=None,
    help="--ipv4=false: IPv6 alone; --ipv4: IPv4 beside an IPv6 subnet. Else as the subnets say.",
)
@click.option("--ipv6", is_flag=True, help="An IPv6 subnet too.")
@click.option("-o", "--opt", "options", type=OPTION, multiple=True, help="Such as parent=eth0.")
@click.option("--label", "labels", type=LABEL, multiple=True, help="For you and for --filter.")
@click.option("--dns", type=NAMESERVER, multiple=True, help="Server for names that are not ours.")
@click.option("--dns-search", type=WORD, multiple=True, help="Search domain.")
@click.option(
    "--dns-forward-zone",
    "dns_zones",
    type=FORWARD_ZONE,
    multiple=True,
    help="Ask that server for the names of the zone, such as corp.local=10.1.0.53.",
)
@click.option("--config-only", is_flag=True, help="No network, only what others are made from.")
@click.option("--config-from", default="", metavar="NETWORK", help="Make it as that one says.")
@click.option("--ignore", is_flag=True, help="Done if it is already there.")
@fixed.of_networks
def create(name: str, ignore: bool, **asked: Any) -> None:
    """Make a network; prints its id."""
    body = {
        "name": name,
        "driver": asked["driver"],
        "pools": pools.asked_for(
            asked["subnets"], asked["gateways"], asked["ranges"], asked["aux"]
        ),
        "internal": asked["internal"],
        "attachable": asked["attachable"],
        "ipv4": asked["ipv4"],
        "ipv6": asked["ipv6"],
        "options": dict(asked["options"]),
        "labels": dict(asked["labels"]),
        "dns": asked["dns"],
        "dns_search": asked["dns_search"],
        "dns_zones": asked["dns_zones"],
        "config_only": asked["config_only"],
        "config_from": asked["config_from"],
    }
    client = current().client()
    try:
        made = client.post(PATH, body)
    except errors.Conflict:
        made = _existing(name) if ignore else None
        if made is None:
            raise
        if other := _others(made, body):
            click.echo(f"network {name} is kept as it is: other {', '.join(other)}", err=True)
    output.created(made)


def _existing(name: str) -> Any:
    try:
        found = current().client().get(f"{PATH}/{part(name)}")
    except errors.NotFound:
        return None
    return found if found["Name"] == name else None


def _others(made: output.Row, asked: dict[str, Any]) -> list[str]:
    """What was asked for and is not so in the network that is there, in words."""
    subnets = {each.get("Subnet") for each in made["IPAM"]["Config"]}
    is_else = {
        "driver": made["Driver"] != asked["driver"] and not asked["config_only"],
        "subnet": any(each.get("subnet", "") not in subnets for each in asked["pools"]),
        "kind (internal)": asked["internal"] and not made["Internal"],
        "options": not asked["options"].items() <= made["Options"].items(),
        "labels": not asked["labels"].items() <= made["Labels"].items(),
    }
    return [what for what, differs in is_else.items() if differs]


@network.command("ls")
@output.no_trunc
@filters.option
def listing(wanted: tuple[str, ...]) -> None:
    """List networks."""
    keep = filters.parse(wanted, KEYS)
    output.show([row for row in current().client().get(PATH) if keep(row)], COLUMNS)


@network.command(cls=Inspect)
@click.argument(
    "refs", metavar="NETWORK...", nargs=-1, required=True, shell_complete=complete.networks
)
@click.option("-v", "--verbose", is_flag=True, help="Services with their members.")
def inspect(refs: tuple[str, ...], verbose: bool) -> None:
    """Everything about networks, as a JSON array."""
    several.inspect(PATH, refs, with_services if verbose else lambda row: row)


def with_services(row: output.Row) -> output.Row:
    """`row` with Docker's words about each service instead of its name."""
    return {**row, "Services": dict(_services(row["Services"]))}


def _services(names: Sequence[str]) -> Iterator[tuple[str, output.Row]]:
    for name in names:
        try:
            found = current().client().get(f"/v1/services/{part(name)}")
        except errors.NotFound:
            continue  # removed meanwhile
        yield (
            name,
            {
                "VIP": ", ".join(found["VIPs"]),
                "Ports": found["Ports"],
                "Tasks": [
                    {
                        "Name": each["Sandbox"],
                        "EndpointID": each["EndpointID"],
                        "EndpointIP": ", ".join(each["Addresses"]),
                        "State": each["State"],
                        "Info": {"Node": each["Node"]},
                    }
                    for each in found["Members"]
                ],
            },
        )


@network.command()
@click.argument(
    "refs", metavar="NETWORK...", nargs=-1, required=True, shell_complete=complete.networks
)
@click.option("-f", "--force", is_flag=True, help="No error when it does not exist.")
def rm(refs: tuple[str, ...], force: bool) -> None:
    """Remove networks that nobody uses."""
    several.remove(PATH, refs, missing_is_fine=force)


@network.command()
@click.argument("ref", metavar="NETWORK")
@click.option("--dns-add", type=NAMESERVER, multiple=True, help="One more server.")
@click.option(
    "--dns-rm", "--dns-drop", "dns_remove", type=NAMESERVER, multiple=True, help="One less."
)
@click.option(
    "--dns-search-add", "search_add", type=WORD, multiple=True, help="One more search domain."
)
@click.option("--dns-search-rm", "search_remove", multiple=True, help="One less.")
@click.option(
    "--dns-forward-zone-add", "zone_add", type=FORWARD_ZONE, multiple=True, help="One more zone."
)
@click.option(
    "--dns-forward-zone-rm",
    "zone_remove",
    type=FORWARD_ZONES,
    multiple=True,
    help="One less; a ZONE alone: all its servers.",
)
def update(ref: str, **asked: Any) -> None:
    """Change a network's DNS settings; its sandboxes follow at once."""
    if not any(asked.values()):
        raise errors.Usage(
            f"nothing is said that should change about network {ref}",
            hint="say it with --dns-add, --dns-rm, --dns-search-add, --dns-search-rm,"
            " --dns-forward-zone-add, --dns-forward-zone-rm",
        )
    asked["zone_remove"] = [each for given in asked["zone_remove"] for each in _servers(ref, given)]
    output.named(current().client().patch(f"{PATH}/{part(ref)}", asked))


def _servers(ref: str, given: dict[str, str]) -> list[dict[str, str]]:
    """A forward zone with its one server, or with all that it has on the network."""
    if given["server"]:
        return [given]
    zones = current().client().get(f"{PATH}/{part(ref)}")["Dns"]["ForwardZones"]
    name, what = given["zone"].lower().removesuffix("."), "forward zone"
    found = [each for each in zones if each.partition("=")[0] == name]
    if not found:
        raise errors.NotFound(
            f"network {ref} has no {what} {name}",
            hint=f"it has: {', '.join(zones) or 'none'}",
            code="SDD-NET-DNS",
        )
    return [{"zone": name, "server": each.partition("=")[2]} for each in found]


@network.command()
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "wanted", multiple=True, metavar="K=V", help="label=…, label!=…, until=…")
def prune(force: bool, wanted: tuple[str, ...]) -> None:
    """Remove all networks that nobody is on; prints their names."""
    keep = filters.parse(wanted, PRUNE_KEYS, {"until": filters.older})
    rows = [row for row in current().client().get(PATH) if unused(row) and keep(row)]
    if not rows:
        return
    names = [row["Name"] for row in rows]
    if not force:
        several.confirm(f"remove {len(names)} networks: {', '.join(names)}?")
    for row in rows:
        try:
            current().client().delete(f"{PATH}/{row['Id']}")
        except (errors.Forbidden, errors.NotFound):
            continue  # somebody uses it now, or was faster
        click.echo(row["Name"])


def unused(row: output.Row) -> bool:
    """Nobody would miss it: user-made, no configuration, without sandboxes and services."""
    kept = row["Predefined"] or row["ConfigOnly"]
    return not (kept or row["Containers"] or row["Services"])


@network.command()
@click.argument("ref", metavar="NETWORK", shell_complete=complete.networks)
@click.pass_context
def exists(ctx: click.Context, ref: str) -> None:
    """Exit 0 when it exists, 1 when not; prints nothing."""
    try:
        current().client().get(f"{PATH}/{part(ref)}")
    except errors.NotFound:
        ctx.exit(1)


@network.command()
@click.argument("ref", metavar="NETWORK", shell_complete=complete.networks)
@click.argument("sandbox", shell_complete=complete.sandboxes)
@click.option("--ip", type=IP4, help="A fixed IPv4 address.")
@click.option("--ip6", type=IP6, help="A fixed IPv6 address.")
@click.option("--alias", "aliases", multiple=True, help="One more name on this network.")
@click.option("--mac-address", "mac", default="", help="A fixed MAC address.")
@click.option(
    "--link-local-ip",
    "link_local",
    type=ADDRESS,
    multiple=True,
    help="One more address, of 169.254.0.0/16 or fe80::/10.",
)
@click.option(
    "--gw-priority", type=params.Number(), default=0, help="The highest gives the default route."
)
@click.option(
    "--driver-opt",
    "driver_opts",
    type=OPTION,
    multiple=True,
    help="com.docker.network.endpoint.ifname=… or .sysctls=…",
)
@fixed.of_connections
def connect(ref: str, sandbox: str, **asked: Any) -> None:
    """Give a sandbox an interface on a network."""
    asked["driver_opts"] = dict(asked["driver_opts"])
    body = {"sandbox": sandbox} | {key: value for key, value in asked.items() if value}
    made = current().client().post(f"{PATH}/{part(ref)}/connect", body)
    output.warned(made)
    if current().output != "table":
        output.data([made])


@network.command()
@click.argument("ref", metavar="NETWORK", shell_complete=complete.networks)
@click.argument("sandbox", shell_complete=complete.sandboxes)
@click.option("-f", "--force", is_flag=True, help="No error when it is not connected.")
def disconnect(ref: str, sandbox: str, force: bool) -> None:
    """Take a sandbox off a network."""
    try:
        left = current().client().post(f"{PATH}/{part(ref)}/disconnect", {"sandbox": sandbox})
        output.warned(left)
    except (errors.NotFound, errors.Conflict):
        if not force:
            raise

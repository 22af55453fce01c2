"""The verbs of `sdctl service`: services."""

from typing import Any

import click

from sdd.cli import complete, filters, output, several
from sdd.cli.check import HEALTH, STATUSES
from sdd.cli.command import Inspect, Noun
from sdd.cli.output import Column
from sdd.cli.params import ADDRESS, DURATION, LABEL, SECONDS, Number
from sdd.cli.publish import PUBLISH, UNPUBLISH
from sdd.cli.settings import current
from sdd.client import part

PATH = "/v1/services"
LISTS = ("alias_add", "alias_remove", "label_remove", "publish_add", "publish_remove")
WEIGHT = Number(0, 65535)
QUORUM = Number(1, 65535)
FULL = 100  # percent
PERCENT = Number(0, 100)


def _weight(row: output.Row) -> str:
    """The weight and, while it starts slowly, how much of it the member gets."""
    return str(row["Weight"]) + ("" if row["Share"] == FULL else f" ({row['Share']} %)")


COLUMNS = (
    Column("ID", output.short("Id")),
    Column("NAME", lambda row: row["Name"]),
    Column("MODE", lambda row: row["Mode"]),
    Column("REPLICAS", lambda row: row["Replicas"]),
    Column("VIP", lambda row: row["VIP"]),
    Column("PORTS", lambda row: row["Ports"]),
)


def _role(row: output.Row) -> str:
    """What it is and, where backups serve in one way alone, in which ways it serves."""
    ways = ", ".join(row["ServesBy"])
    return ("backup" if row["Backup"] else "member") + (f" ({ways})" if ways else "")


def _error(row: output.Row) -> str:
    """Why a member is not up, is not everywhere where it should be, or cannot be checked."""
    fails = row["State"] != "up" or row["Failing"] or row["IngressFailing"]
    lack = row.get("Unchecked")  # a daemon of an older release does not tell
    told = (row["Reason"] if fails else "", f"cannot be checked: {lack}" if lack else "")
    return "; ".join(filter(None, told))


MEMBER_COLUMNS = (
    Column("ID", output.short("EndpointID")),
    Column("NAME", lambda row: row["Sandbox"]),
    Column("NODE", lambda row: row["Node"]),
    Column("ADDRESS", lambda row: row["Addresses"]),
    Column("WEIGHT", _weight, right=True),
    Column("ROLE", _role),
    Column("STATE", lambda row: row["State"]),
    Column("SINCE", lambda row: output.ago(row["Since"])),
    Column("PORTS", lambda row: row["Ports"]),
    Column("ERROR", _error),
)
KEYS = {
    "id": lambda row: [row["Id"]],
    "label": filters.labels,
    "mode": lambda row: [row["Mode"]],
    "name": lambda row: [row["Name"]],
    "network": lambda row: [row["Network"]],
}


@click.group(cls=Noun)
def service() -> None:
    """One name and one virtual IP over several backends."""


@service.command()
@click.argument("name")
@click.option(
    "--network",
    required=True,
    shell_complete=complete.networks,
    help="Where its name and virtual IP live.",
)
@click.option("--vip", type=ADDRESS, multiple=True, help="A fixed virtual IP, one a family.")
@click.option(
    "--endpoint-mode", type=click.Choice(["vip", "dnsrr"]), default="vip", help="dnsrr has no VIP."
)
@click.option(
    "--scheduler",
    metavar="NAME",
    default="mh",
    shell_complete=complete.schedulers,
    help="As in IPVS: mh, rr, wrr …",
)
@click.option("--health", type=HEALTH, default="none", help="tcp:80, http://:80/PATH, ttl:30s …")
@click.option("--health-interval", type=DURATION, default="2s", help="Between two checks.")
@click.option("--health-fast", type=DURATION, default="250ms", help="While it may turn.")
@click.option("--health-timeout", type=DURATION, default="1s", help="Of one check.")
@click.option("--health-rise", type=Number(min=1), help="Good ones in a row [2; ttl: 1].")
@click.option("--health-fall", type=Number(min=1), help="Bad ones in a row [3; ttl: 1].")
@click.option("--health-status", type=STATUSES, default="200-399", help="That pass http.")
@click.option("--health-send", default="", help="What udp sends.")
@click.option("--health-expect", default="", help="What the answer must contain.")
@click.option("--drain", type=DURATION, default="10s", help="Patience with live connections.")
@click.option("--persistence", type=SECONDS, default="0s", help="A client keeps its backend.")
@click.option("--weight", type=WEIGHT, default=1, help="Of members that join without one.")
@click.option("--quorum", type=QUORUM, default=1, help="Fewer members up: backups serve.")
@click.option("--panic", type=PERCENT, default=0, help="Fewer percent up: all serve; 0: never.")
@click.option("--slow-start", type=DURATION, default="0s", help="A new one's share grows for it.")
@click.option("--alias", "aliases", multiple=True, help="One more name.")
@click.option("--label", "labels", type=LABEL, multiple=True, help="For you and for --filter.")
@click.option("--publish", "-p", type=PUBLISH, multiple=True, help="published=,target=[,mode=].")
def create(name: str, **asked: Any) -> None:
    """Make a service; prints its id."""
    body = {
        "name": name,
        "network": asked["network"],
        "mode": asked["endpoint_mode"],
        "scheduler": asked["scheduler"],
        "health": asked["health"] | _health(asked),
        "aliases": asked["aliases"],
        "labels": dict(asked["labels"]),
        "drain_s": asked["drain"],
        "persistence_s": round(asked["persistence"]),
        "weight": asked["weight"],
        "quorum": asked["quorum"],
        "panic": asked["panic"],
        "slow_start_s": asked["slow_start"],
        "publish": asked["publish"],
    }
    match asked["vip"]:
        case [one]:
            body["vip"] = one  # all that a daemon of an older release takes
        case [_, *_] as several:
            body["vips"] = several
    output.created(current().client().post(PATH, body))


@service.command()
@click.argument("ref", metavar="SERVICE", shell_complete=complete.services)
@click.option(
    "--scheduler",
    metavar="NAME",
    shell_complete=complete.schedulers,
    help="As in IPVS: mh, rr, wrr …",
)
@click.option("--health", type=HEALTH, help="Another check; members keep their state meanwhile.")
@click.option("--health-interval", type=DURATION, help="Between two checks.")
@click.option("--health-fast", type=DURATION, help="While it may turn.")
@click.option("--health-timeout", type=DURATION, help="Of one check.")
@click.option("--health-rise", type=Number(min=1), help="Good ones in a row.")
@click.option("--health-fall", type=Number(min=1), help="Bad ones in a row.")
@click.option("--health-status", type=STATUSES, help="That pass http.")
@click.option("--health-send", help="What udp sends.")
@click.option("--health-expect", help="What the answer must contain.")
@click.option("--drain", type=DURATION, help="Patience with live connections.")
@click.option("--persistence", type=SECONDS, help="A client keeps its backend.")
@click.option("--weight", type=WEIGHT, help="Of members that join later.")
@click.option("--quorum", type=QUORUM, help="Fewer members up: backups serve.")
@click.option("--panic", type=PERCENT, help="Fewer percent up: all serve; 0: never.")
@click.option("--slow-start", type=DURATION, help="A new one's share grows for it; 0s: not.")
@click.option("--alias-add", multiple=True, help="One more name.")
@click.option("--alias-rm", "alias_remove", multiple=True, help="One less.")
@click.option("--label-add", type=LABEL, multiple=True, help="K=V.")
@click.option("--label-rm", "label_remove", multiple=True, help="K.")
@click.option("--publish-add", type=PUBLISH, multiple=True, help="One more published port.")
@click.option(
    "--publish-rm",
    "publish_remove",
    type=UNPUBLISH,
    multiple=True,
    help="TARGET[/PROTOCOL]: all to it; PUBLISHED:TARGET: that one.",
)
def update(ref: str, **asked: Any) -> None:
    """Change a service; members and live connections stay."""
    health = (asked["health"] or {}) | _health(asked)
    plain = ("scheduler", "weight", "quorum", "panic", *LISTS)
    body = {
        **{each: asked[each] for each in plain},
        "health": health,
        "label_add": dict(asked["label_add"]),
        "drain_s": asked["drain"],
        "slow_start_s": asked["slow_start"],
        "persistence_s": None if asked["persistence"] is None else round(asked["persistence"]),
    }
    given = {key: value for key, value in body.items() if value not in (None, (), {})}
    if not given:
        raise click.UsageError("nothing to change: give an option, such as --scheduler rr")
    output.named(current().client().patch(f"{PATH}/{part(ref)}", given))


def _health(asked: dict[str, Any]) -> dict[str, Any]:
    """What was said of a check, in the names of the body."""
    low, high = asked["health_status"] or (None, None)
    every = {
        "interval_s": asked["health_interval"],
        "fast_s": asked["health_fast"],
        "timeout_s": asked["health_timeout"],
        "rise": asked["health_rise"],
        "fall": asked["health_fall"],
        "status_low": low,
        "status_high": high,
        "send": asked["health_send"],
        "expect": asked["health_expect"],
    }
    return {key: value for key, value in every.items() if value is not None}


@service.command("ls")
@output.no_trunc
@filters.option
def listing(wanted: tuple[str, ...]) -> None:
    """List services; REPLICAS is healthy/all."""
    keep = filters.parse(wanted, KEYS)
    output.show([row for row in current().client().get(PATH) if keep(row)], COLUMNS)


@service.command(cls=Inspect)
@click.argument(
    "refs", metavar="SERVICE...", nargs=-1, required=True, shell_complete=complete.services
)
def inspect(refs: tuple[str, ...]) -> None:
    """Everything about services, as a JSON array."""
    several.inspect(PATH, refs)


@service.command()
@click.argument("ref", metavar="SERVICE", shell_complete=complete.services)
@output.no_trunc
def ps(ref: str) -> None:
    """List the backends and their state."""
    found = current().client().get(f"{PATH}/{part(ref)}/members")
    output.show(found, MEMBER_COLUMNS, id_key="EndpointID")


@service.command()
@click.argument(
    "refs", metavar="SERVICE...", nargs=-1, required=True, shell_complete=complete.services
)
@click.option("-f", "--force", is_flag=True, help="No error when it does not exist.")
def rm(refs: tuple[str, ...], force: bool) -> None:
    """Remove services; their backends stay as sandboxes."""
    several.remove(PATH, refs, missing_is_fine=force)


@service.command()
@click.argument("ref", metavar="SERVICE", shell_complete=complete.services)
@click.argument("sandbox", shell_complete=complete.sandboxes)
@click.option("--weight", type=WEIGHT, help="Its share; by default what the service says.")
@click.option("--backup", is_flag=True, help="Serve only while too few others are up.")
def join(ref: str, sandbox: str, weight: int | None, backup: bool) -> None:
    """Make a sandbox a backend."""
    body: dict[str, Any] = {"sandbox": sandbox, "backup": backup}
    if weight is not None:
        body["weight"] = weight
    _told(current().client().post(f"{PATH}/{part(ref)}/members", body))


@service.command()
@click.argument("ref", metavar="SERVICE", shell_complete=complete.services)
@click.argument("sandbox", shell_complete=complete.sandboxes)
@click.option("--drain", type=DURATION, help="Patience with live connections; 0s for none.")
def leave(ref: str, sandbox: str, drain: float | None) -> None:
    """Take a backend out, once its connections have ended."""
    found = current()
    if drain is None:
        drain = float(found.client().get(f"{PATH}/{part(ref)}")["Drain"])
    # The daemon answers when the backend has drained: our own patience starts after that.
    patient = found._replace(timeout_s=found.timeout_s + drain)
    patient.client().delete(f"{PATH}/{part(ref)}/members/{part(sandbox)}", {"drain": str(drain)})


@service.command()
@click.argument("ref", metavar="SERVICE", shell_complete=complete.services)
@click.argument("sandbox", shell_complete=complete.sandboxes)
@click.argument("status", type=click.Choice(["pass", "fail"]))
@click.option("--reason", default="", help="Shown in service ps.")
def report(ref: str, sandbox: str, status: str, reason: str) -> None:
    """Say how a backend with a ttl check is."""
    path = f"{PATH}/{part(ref)}/members/{part(sandbox)}/report"
    _told(current().client().post(path, {"status": status, "reason": reason}))


@service.command("set-weight")
@click.argument("ref", metavar="SERVICE", shell_complete=complete.services)
@click.argument("sandbox", shell_complete=complete.sandboxes)
@click.argument("weight", type=WEIGHT)
def set_weight(ref: str, sandbox: str, weight: int) -> None:
    """Change a backend's share; 0 takes no new connections."""
    path = f"{PATH}/{part(ref)}/members/{part(sandbox)}"
    _told(current().client().patch(path, {"weight": weight}))


def _told(row: output.Row) -> None:
    if current().output != "table":
        output.data([row])

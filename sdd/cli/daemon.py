"""sdctl status and sdctl version."""

import json
from collections.abc import Iterator
from typing import Any

import click

from sdd import errors
from sdd.cli import output
from sdd.cli.command import Verb
from sdd.cli.settings import current


@click.command(cls=Verb)
@click.pass_context
def status(ctx: click.Context) -> None:
    """What runs, what it holds, what is not as wanted; exit 1 while it starts."""
    found = current().client().get("/v1/status")
    match current().output:
        case "name":
            click.echo(found["State"])
        case "table":
            _show(found)
        case _:
            output.data([found])
    ctx.exit(1 if found["State"] == "starting" else 0)


def _show(found: dict[str, Any]) -> None:
    rows = (
        ("state", found["State"]),
        ("version", found["Version"]),
        ("node", found["Node"]),
        ("advertised", found["AdvertiseAddr"]),
        ("labels", ", ".join(found["Labels"])),
        ("started", output.ago(found["Started"])),
        ("socket", current().host),
        ("data root", found["DataRoot"]),
        ("exec root", found["ExecRoot"]),
        ("store", f"{found['Store']}, revision {found['Revision']}"),
        ("balancer", f"{found['Balancer']} ({found['BalancerWhy']})"),
        ("networks", found["Networks"]),
        ("sandboxes", found["Sandboxes"]),
        ("services", found["Services"]),
    )
    for name, value in rows:
        if value != "":
            click.echo(f"{name:<12}{value}")
    for backend in found["Backends"]:
        click.echo(f"{backend['Name']:<12}{_backend(backend)}")
        for line in _failures(backend["Failures"]):
            click.echo(f"{'':<12}{line}")


def _failures(failures: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong, each said once with whom it concerns, and what to do."""
    concerned: dict[tuple[str, str, str], list[str]] = {}
    for each in failures:
        said = (each["Error"], each["Code"], each["Hint"])
        concerned.setdefault(said, []).append(f"{each['Kind']} {each['Name']}".strip())
    for (error, code, hint), objects in concerned.items():
        more = f" and {len(objects) - _NAMED} more" if len(objects) > _NAMED else ""
        yield f"{', '.join(objects[:_NAMED])}{more}: {error} [{code}]"
        if hint:
            yield f"  {hint}"


_NAMED = 3  # objects in one line


def _backend(backend: dict[str, Any]) -> str:
    if not backend["Reported"]:
        return "starting"
    count = len(backend["Failures"])
    word = f"{count} failed" if count else "ok"
    repaired = f", {backend['Repaired']} repaired since the start" if backend["Repaired"] else ""
    return f"{word}, at revision {backend['Revision']}{repaired}"


@click.command(cls=Verb)
def version() -> None:
    """Versions of this program and of the daemon (if it answers)."""
    from importlib.metadata import version as installed

    found: dict[str, Any] = {"Client": {"Version": installed("sdd"), "ApiVersion": "v1"}}
    failure: errors.SddError | None = None
    try:
        found["Server"] = current().client().get("/v1/version")
    except (errors.Unreachable, errors.Denied) as error:
        failure = error
    if current().output == "table":
        for part, values in found.items():
            words = ", ".join(f"{key} {value}" for key, value in values.items())
            click.echo(f"{part}: {words}")
    elif current().output == "name":
        click.echo(found["Client"]["Version"])
    else:
        click.echo(json.dumps(found, indent=4))
    if failure:
        raise failure

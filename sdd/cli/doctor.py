"""`sdctl doctor`: what this host can do, what follows from what it cannot, what to do about it."""

import subprocess
from collections.abc import Iterable, Sequence

import click

from sdd import errors
from sdd.cli import output
from sdd.cli.command import Verb
from sdd.cli.probes import daemon, host, kernel
from sdd.cli.probes.finding import TOPICS, Finding, Verdict
from sdd.cli.settings import current

AREAS = ("kernel", "host", "net", "config", *TOPICS, "daemon")
INDENT = " " * 6


@click.command(cls=Verb)
@click.option("--only", "only", multiple=True, type=click.Choice(AREAS), help="Only this.")
@click.option("--fix", is_flag=True, help="Print the commands that repair what can be repaired.")
@click.option("-y", "--yes", is_flag=True, help="With --fix: run them.")
@click.pass_context
def doctor(ctx: click.Context, only: tuple[str, ...], fix: bool, yes: bool) -> None:
    """Look at the kernel, the host and the daemon; exit 1 when something needed is missing."""
    found = [each for each in looked_at(only) if not only or each.concerns(only)]
    if fix:
        _repair(found, run=yes)
    elif current().output == "table":
        for each in found:
            click.echo(report(each))
    else:
        output.data([each.row() for each in found])
    ctx.exit(1 if any(each.verdict is Verdict.FAIL for each in found) else 0)


def looked_at(only: Sequence[str]) -> Iterable[Finding]:
    """The findings, without the areas that nobody asked for and that take time."""
    from importlib.metadata import version

    if not only or {"kernel", *TOPICS} & set(only):
        yield from kernel.findings()
    if not only or {"host", "net", "config", "dns"} & set(only):
        yield from host.findings()
    if not only or {"daemon", *TOPICS} & set(only):
        yield from daemon.findings(current().client(), version("sdd"))


def report(one: Finding) -> str:
    """A line, and below it what follows and what to do."""
    lines = [f"{one.verdict.value}  {one.name:<18}{one.says}"]
    for word, text in (("why", one.why), ("now", one.now), ("fix", one.fix)):
        if text:
            lines.append(f"{INDENT}{word:<5}{text}")
    return "\n".join(output.printable(line) for line in lines)


def _repair(found: Sequence[Finding], *, run: bool) -> None:
    """Prints one command a line, a script that can be read first; with `run` also runs each."""
    for each in found:
        for command in each.commands if each.verdict is not Verdict.PASS else ():
            click.echo(command)
            if run and subprocess.run(command.split(), check=False).returncode:
                raise errors.Unavailable(
                    f'"{command}" failed',
                    hint=f"it was to repair {each.name}",
                    code="SDD-DOCTOR-FIX",
                )

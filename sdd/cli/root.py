"""`sdctl` itself: finds the noun, loads its file only then, turns every error into a sentence."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

import click

from sdd import errors
from sdd.cli import settings
from sdd.cli.command import Noun, Unknown

# name → (module, attribute, the line of --help): known without loading the module
COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "network": ("network", "network", "Networks: make, list, connect, remove."),
    "sandbox": ("sandbox", "sandbox", "Network namespaces and what runs in them."),
    "service": ("service", "service", "One name and one virtual IP over several backends."),
    "dns": ("dns", "dns", "Ask as a sandbox would."),
    "lb": ("lb", "lb", "The kernel's own view of balancing."),
    "events": ("events", "events", "What happened, and what happens next."),
    "logs": ("logs", "logs", "The daemon's own log, of one sandbox or service what concerns it."),
    "status": ("daemon", "status", "What runs, what it holds, what is not as wanted."),
    "verify": ("verify", "verify", "What should be against what is in the kernel."),
    "doctor": ("doctor", "doctor", "What this host can do, and what to do about the rest."),
    "version": ("daemon", "version", "Versions of this program and of the daemon."),
    "completion": ("completion", "completion", "A script that completes commands in your shell."),
}
INTERRUPTED = 130  # 128 + SIGINT, as every shell says it


class Root(Noun):
    """The nouns, loaded when used: `sdctl --help` loads none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The noun, loaded now."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        found: click.Command = getattr(importlib.import_module(f"sdd.cli.{module}"), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The list of --help, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


HELP = {"help_option_names": ["-h", "--help"], "show_default": True}


@click.command("sdctl", cls=Root, context_settings=HELP)
@click.pass_context
def sdctl(ctx: click.Context) -> None:
    """Names, virtual IPs and networks for any Linux network namespace."""
    if ctx.obj is None:
        settings.change(ctx)


def run(argv: Sequence[str]) -> int:
    """The exit code of one command line; every error is told on stderr."""
    try:
        return _run(argv)
    except errors.SddError as error:
        return tell(error)
    except click.ClickException as error:
        return _told_by_click(error)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # The reader has gone (`sdctl … | head`), which click turns into SystemExit: that is no
        # failure, and there is nothing more to say, also not at exit.
        _print_no_more()
        return 0
    except OSError as exc:  # what comes from the daemon is an SddError: only our output is left
        _print_no_more()
        return tell(
            errors.Unavailable(
                f"the output cannot be written: {exc.strerror or exc}",
                hint="the command itself may have been done: look before it is given again",
                code="SDD-CLI-OUTPUT",
            )
        )


def _print_no_more() -> None:
    """Python writes what is left at its end, and would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: Sequence[str]) -> int:
    start = settings.Settings(host=os.environ.get("SDD_HOST") or settings.DEFAULT_HOST)
    result = sdctl.main(list(argv), prog_name="sdctl", standalone_mode=False, obj=start)
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def tell(error: errors.SddError) -> int:
    """Prints sentence, code and hint; returns the exit code."""
    click.echo(str(error), err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
    return error.exit_code


def _told_by_click(error: click.ClickException) -> int:
    match error:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return errors.Usage.exit_code
        case click.UsageError():
            return tell(_usage(error))
        case _:
            return tell(
                errors.Invalid(f"this cannot be done: {error.format_message()}", code="SDD-CLI")
            )


def _usage(error: click.UsageError) -> errors.Usage:
    sentence = " ".join(error.format_message().split()).rstrip(".")
    path = error.ctx.command_path if error.ctx else "sdctl"
    hint = error.hint if isinstance(error, Unknown) else f"see: {path} --help"
    return errors.Usage(sentence[:1].lower() + sentence[1:], hint=hint)

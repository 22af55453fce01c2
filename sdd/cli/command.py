"""The shapes of commands: a verb takes the global options too, a noun suggests the nearest name."""

import difflib
from collections.abc import Iterator
from typing import Any

import click

from sdd import errors
from sdd.cli import settings
from sdd.cli.params import DURATION

# Promised names: whoever types one is told so, instead of being offered a neighbour.
PLANNED = frozenset(f"sdctl {words}" for words in ("node",))
OUTPUTS = ("table", "json", "jsonl", "name")
OUTPUT_FLAGS = ("-o", "--output")
FORMAT_FLAGS = ("--format",)


class Verb(click.Command):
    """A command that also takes -H, -o, -q, --format and --timeout behind its name.

    A letter that the verb uses itself (`-o` of `network create`) keeps the verb's meaning.
    """

    format_flags: tuple[str, ...] = FORMAT_FLAGS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for each in self.params:
            if isinstance(each, click.Option) and each.default == "":
                each.show_default = False  # nothing is nothing to show
        taken = {flag for each in self.params for flag in (*each.opts, *each.secondary_opts)}
        self.params += global_options(taken, self.format_flags)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Go's way to write flags is understood too: `--internal=true`, `--ipv4=false`."""
        return super().parse_args(ctx, list(self._spelt(ctx, args)))

    def _spelt(self, ctx: click.Context, args: list[str]) -> Iterator[str]:
        flags = {
            flag: each
            for each in self.params
            if isinstance(each, click.Option) and each.is_flag
            for flag in each.opts
        }
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                yield arg
                yield from rest
                return
            name, equals, text = arg.partition("=")
            if not equals or name not in flags or not name.startswith("--"):
                yield arg
                continue
            option = flags[name]
            match _said(option, ctx, text), option.secondary_opts:
                case True, _:
                    yield name
                case False, [opposite, *_]:
                    yield opposite


class Inspect(Verb):
    """The verb `inspect`, where -f is --format, as in Docker."""

    format_flags = ("-f", *FORMAT_FLAGS)


class Noun(click.Group):
    """A group of verbs."""

    command_class = Verb

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options(set())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb; an unknown one is a usage error that names its nearest neighbour."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            if f"{ctx.command_path} {name}" in PLANNED:
                raise errors.Invalid(
                    f'"{ctx.command_path} {name}" is not built yet', code="SDD-NOTBUILT"
                )
            names = self.list_commands(ctx)
            near = difflib.get_close_matches(name, names, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"one of: {', '.join(names)}"
            raise Unknown(f'unknown command "{name}"', hint, ctx)
        return super().resolve_command(ctx, args)


def _said(option: click.Option, ctx: click.Context, text: str) -> bool:
    from sdd.model import options

    try:
        return options.to_bool(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx=ctx, param=option) from None


class Unknown(click.UsageError):
    """An unknown command, with advice."""

    def __init__(self, message: str, hint: str, ctx: click.Context) -> None:
        super().__init__(message, ctx)
        self.hint = hint


def global_options(
    taken: set[str], format_flags: tuple[str, ...] = FORMAT_FLAGS
) -> list[click.Parameter]:
    """Fresh global options, without the flags in `taken`."""
    rows: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        (("-H", "--host"), {"metavar": "URL", "help": "The daemon's socket (SDD_HOST)."}),
        (
            OUTPUT_FLAGS,
            {"metavar": "FORM", "help": "table, json, jsonl, name or '{{.Key}}'."},
        ),
        (format_flags, {"metavar": "FORM", "help": "The same; json of a listing is lines."}),
        (("-q", "--quiet"), {"is_flag": True, "help": "Only ids, or data."}),
        (("--timeout",), {"type": DURATION, "metavar": "TIME", "help": "Wait so long; else 30s."}),
    )
    options: list[click.Parameter] = []
    for flags, attributes in rows:
        free = [flag for flag in flags if flag not in taken]
        if any(flag.startswith("--") for flag in free):
            name = f"global_{flags[-1].strip('-') if len(flags) == 1 else flags[1].strip('-')}"
            options.append(_option(name, free, attributes))
    return options


def _option(name: str, flags: list[str], attributes: dict[str, Any]) -> click.Option:
    return click.Option(
        [name, *flags],
        default=None if not attributes.get("is_flag") else False,
        expose_value=False,
        callback=CALLBACKS[name],
        **attributes,
    )


def _host(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        settings.change(ctx, host=value)


def _output(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    if value not in OUTPUTS and "{{" not in value:
        raise click.BadParameter(f'"{value}" is not one of {", ".join(OUTPUTS)} or a template')
    settings.change(ctx, output=value, by_line=False)


def _format(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Docker's flag, and what scripts written for Docker expect of it."""
    _output(ctx, param, value)
    if value is not None:
        settings.change(ctx, by_line=True)


def _quiet(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        settings.change(ctx, quiet=True)


def _timeout(ctx: click.Context, _param: click.Parameter, value: float | None) -> None:
    if value is not None:
        settings.change(ctx, timeout_s=value)


CALLBACKS: dict[str, Any] = {
    "global_host": _host,
    "global_output": _output,
    "global_format": _format,
    "global_quiet": _quiet,
    "global_timeout": _timeout,
}

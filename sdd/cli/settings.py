"""What every command knows: where the daemon is, how to print, how long to wait."""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from sdd.client import Client


DEFAULT_HOST = "unix:///run/sdd/sdd.sock"
TIMEOUT_S = 30.0  # longer than the daemon's own patience, so that its sentence arrives


class Settings(NamedTuple):  # a dataclass would import inspect: 10 ms of every --help
    """`output` is table, json, jsonl, name, or a template such as "{{.Name}}".

    `by_line`: a listing in JSON has a line for each object, as Docker's `--format json`.
    """

    host: str = DEFAULT_HOST
    output: str = "table"
    quiet: bool = False
    timeout_s: float = TIMEOUT_S
    whole_ids: bool = False
    by_line: bool = False

    def client(self) -> "Client":
        """A client for the daemon that was named."""
        from sdd.client import Client

        return Client(self.host, self.timeout_s)


def current() -> Settings:
    """The settings of the running command, wherever on the line they were given."""
    return of(click.get_current_context())


def of(context: click.Context) -> Settings:
    """The settings of a command that is not running yet, such as one being completed."""
    found = context.find_root().obj
    return found if isinstance(found, Settings) else Settings()


def change(context: click.Context, **values: Any) -> None:
    """Settings given at any level hold for the whole command."""
    context.find_root().obj = of(context)._replace(**values)
